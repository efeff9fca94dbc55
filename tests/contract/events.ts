import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { EventStore, Observation } from '#core/events.ts'
import { createIds } from '#lib/id.ts'

const newId = createIds()
let made = 0

/** Something seen at this time; each one of a series of its own unless it is told. */
export function seen(at: number, more: Partial<Observation> = {}): Observation {
  const event = { id: newId(at), type: 'health_status_changed', at, server: 'a', data: { to: 'unhealthy' } } as const
  return { event, series: `health:${++made}`, state: 'unhealthy', initially: 'healthy', ...more }
}

/** What every store of events promises. */
export function eventsContract(
  name: string,
  open: () => Promise<{ create(): Promise<EventStore>; close(): Promise<void> }>,
): void {
  describe(name, () => {
    let opened: Awaited<ReturnType<typeof open>>
    let store: EventStore
    const start = Date.UTC(2026, 0, 1)

    beforeAll(async () => {
      opened = await open()
      store = await opened.create()
    }, 60_000)
    afterAll(() => opened.close())

    test('gives events back as they were, the oldest first, from behind an id', async () => {
      const all = [seen(start + 1), seen(start + 2), seen(start + 3)]
      for (const each of all) expect(await store.add(each)).toBe(true)

      const after = await store.list({ after: all[0]?.event.id ?? '', limit: 2 })

      expect(after).toEqual(all.slice(1).map(({ event }) => event))
      expect(await store.list({ after: all[0]?.event.id ?? '', limit: 1 })).toHaveLength(1)
      expect((await store.list({ after: null, limit: 1 })).map(({ id }) => id)).toEqual([all[2]?.event.id ?? ''])
    })

    test('of all who saw the same change, one keeps it', async () => {
      const same = seen(start + 10)

      const kept = await Promise.all(
        [11, 12, 13].map(ms => store.add({ ...same, event: { ...same.event, id: newId(start + ms), at: start + ms } })),
      )

      expect(kept.filter(Boolean)).toHaveLength(1)
    })

    test('a change back and forth is two events, and no change is none', async () => {
      const series = 'health:flapping'
      const states = ['healthy', 'unhealthy', 'unhealthy', 'healthy', 'unhealthy']

      const kept: boolean[] = []
      for (const [index, state] of states.entries())
        kept.push(await store.add(seen(start + 20 + index, { series, state })))

      expect(kept).toEqual([false, true, false, true, true])
    })

    test('remembers a message by its sender and id, and shows it to nobody', async () => {
      const claims = [
        await store.claim('webhook:a', 'one', start),
        await store.claim('webhook:a', 'one', start + 1),
        await store.claim('webhook:a', 'two', start),
        await store.claim('webhook:b', 'one', start),
      ]

      expect(claims).toEqual([true, false, true, true])
      expect((await store.list({ after: null, limit: 100 })).every(({ id }) => !id.startsWith('webhook'))).toBe(true)
    })

    test('counts a series beyond ten changes in their order', async () => {
      const series = 'health:long'
      const kept: boolean[] = []
      for (let index = 0; index < 24; index++) {
        const state = index % 2 === 0 ? 'unhealthy' : 'healthy'
        kept.push(await store.add(seen(start + 40 + index, { series, state })))
      }

      expect(kept.every(Boolean)).toBe(true)
    })
  })
}
