import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import type { Consequence, CursorStore, EventStore, FleetEvent, InFlightStore, Observation } from '#core/events.ts'

let made = 0

/** Something seen at this time; each one of a series of its own unless it is told. */
export function seen(at: number, more: Partial<Observation> = {}): Observation {
  const event = { type: 'health_status_changed', at, server: 'a', data: { to: 'unhealthy' } } as const
  return { event, series: `health:${++made}`, state: 'unhealthy', initially: 'healthy', ...more }
}

/** A failover of `a` that begins or is over. */
function failover(at: number, type: 'failover_initiated' | 'failover_completed'): Observation {
  const event = { type, at, server: 'a', data: {} } as const
  return { event, series: 'failover:a', state: type, initially: 'failover_completed' }
}

/** How a contract makes stores: each call of `create` a new one. */
type Open<T> = () => Promise<{ create(): Promise<T>; close(): Promise<void> }>

function describeStores<T>(name: string, open: Open<T>, tests: (store: () => T) => void): void {
  describe(name, () => {
    let opened: Awaited<ReturnType<Open<T>>>
    let store: T
    beforeAll(async () => {
      opened = await open()
    }, 60_000)
    beforeEach(async () => {
      store = await opened.create()
    })
    afterAll(() => opened.close())
    tests(() => store)
  })
}

const START = Date.UTC(2026, 0, 1)
const idsOf = (events: readonly FleetEvent[]) => events.map(({ id }) => id)

/** What every store of events promises. */
export function eventsContract(name: string, open: Open<EventStore>): void {
  describeStores(name, open, store => {
    test('gives events back as they were, the oldest first, from behind an id', async () => {
      const all = [seen(START + 1), seen(START + 2), seen(START + 3)]

      const kept: FleetEvent[] = []
      for (const each of all) kept.push(...(await store().add([each])))

      const listed = await store().list({ after: '', limit: 10 })
      expect(listed.map(({ id: _, ...event }) => event)).toEqual(all.map(({ event }) => event))
      expect(idsOf(listed)).toEqual(idsOf(kept))
      expect(await store().list({ after: listed[0]?.id ?? '', limit: 1 })).toEqual(listed.slice(1, 2))
    })

    test('of a series whose events keep apart, none follows another too soon', async () => {
      const load = (at: number) => seen(at, { series: 'load:a:cpu', state: String(at), initially: '', apartMs: 60_000 })

      const kept: number[] = []
      for (const at of [START, START + 59_999, START + 60_000, START + 60_001, START - 86_400_000])
        for (const event of await store().add([load(at)])) kept.push(event.at - START)

      // A clock that was set back keeps nobody silent.
      expect(kept).toEqual([0, 60_000, -86_400_000])
    })

    test('ids rise in the order of keeping, whatever the clock of the process says', async () => {
      const times = [START + 500, START, START + 500, START + 1_000]

      for (const at of times) await store().add([seen(at), seen(at)])

      const listed = await store().list({ after: '', limit: 10 })
      expect(listed.map(({ at }) => at)).toEqual(times.flatMap(at => [at, at]))
    })

    test('of all who saw the same change, one keeps it, with what it brings', async () => {
      const [same, other] = [seen(START), seen(START)]
      const kept = await Promise.all(
        [11, 12, 13].map(ms => store().add([{ ...same, event: { ...same.event, at: START + ms } }, other])),
      )

      expect(kept.map(({ length }) => length).sort()).toEqual([0, 0, 2])
      expect(await store().list({ after: '', limit: 10 })).toHaveLength(2)
    })

    test('of what a change brings only that is kept which is a change itself', async () => {
      const known = seen(START)
      await store().add([known])

      const kept = await store().add([seen(START + 1), known, seen(START + 2)])

      expect(kept.map(({ at }) => at - START)).toEqual([1, 2])
    })

    test('a change back and forth is two events, and no change is none', async () => {
      const series = 'health:flapping'
      const states = ['healthy', 'unhealthy', 'unhealthy', 'healthy', 'unhealthy']

      const kept: number[] = []
      for (const [index, state] of states.entries())
        kept.push((await store().add([seen(START + index, { series, state })])).length)

      expect(kept).toEqual([0, 1, 0, 1, 1])
    })

    test('counts a series beyond ten changes in their order', async () => {
      const series = 'health:long'
      const kept: number[] = []
      for (let index = 0; index < 24; index++) {
        const state = index % 2 === 0 ? 'unhealthy' : 'healthy'
        kept.push((await store().add([seen(START + index, { series, state })])).length)
      }

      expect(kept).toEqual(Array.from({ length: 24 }, () => 1))
    })

    test('remembers a message by its sender and id, and shows it to nobody', async () => {
      const claims = [
        await store().claim('webhook:a', 'one', START),
        await store().claim('webhook:a', 'one', START + 1),
        await store().claim('webhook:a', 'two', START),
        await store().claim('webhook:b', 'one', START),
      ]

      expect(claims).toEqual([true, false, true, true])
      expect(await store().list({ after: '', limit: 100 })).toEqual([])
    })

    test('what follows from a change follows from the last event of each series', async () => {
      const flapping = ['unhealthy', 'degraded', 'healthy', 'degraded'].map((state, index) =>
        seen(START + index, { series: 'health:x', state }),
      )
      for (const each of [seen(START), ...flapping]) await store().add([each])
      const told: (readonly FleetEvent[])[] = []
      const consequence: Consequence = {
        of: 'health_status_changed',
        from(last) {
          told.push(last)
          return seen(START + 20, { series: 'cluster', state: `${last.length}` })
        },
      }

      const kept = await store().add([seen(START + 10)], consequence)
      const alone = [await store().add([], consequence), await store().add([], consequence)]
      const none = await store().add([seen(START, { state: 'healthy' })], consequence)

      expect(kept.map(({ at }) => at - START)).toEqual([10, 20])
      expect(told[0]?.map(({ at }) => at - START)).toEqual([0, 3, 10])
      expect([...alone, none].map(({ length }) => length)).toEqual([1, 0, 0])
    })

    test('how things stand is known however long ago they changed', async () => {
      const down = seen(START, { series: 'health:down' })
      const later = START + 100 * 86_400_000
      await store().add([down])
      await store().add([failover(START, 'failover_initiated')])
      await store().add([seen(later)])
      await store().claim('webhook:a', 'one', later)

      const open = await store().open()
      const same = await store().add([{ ...down, event: { ...down.event, at: later } }])
      const back = await store().add([seen(later + 1, { series: 'health:down', state: 'healthy' })])

      expect([open.length, same.length, back.length]).toEqual([1, 0, 1])
    })

    test('knows which failovers are under way', async () => {
      const counts: number[] = []
      for (const type of ['failover_initiated', 'failover_completed', 'failover_initiated'] as const) {
        await store().add([failover(START + counts.length, type)])
        counts.push((await store().open()).length)
      }

      expect(counts).toEqual([1, 0, 1])
      expect(await store().open()).toMatchObject([{ type: 'failover_initiated', server: 'a', at: START + 2 }])
    })
  })
}

/** What every store of cursors promises. */
export function cursorsContract(name: string, open: Open<CursorStore>): void {
  describeStores(name, open, store => {
    const lease = (now: number) => ({ now, until: now + 10, first: 'first' })

    test('of all who want to deliver, one does', async () => {
      const claims = await Promise.all(['a', 'b', 'c'].map(owner => store().claim('hook', owner, lease(100))))

      expect(claims.filter(claim => claim !== null)).toEqual(['first'])
      expect(await store().claim('another', 'b', lease(100))).toBe('first')
    })

    test('who takes over a claim that has run out goes on where the last one was', async () => {
      await store().claim('hook', 'a', lease(100))
      expect(await store().advance('hook', 'a', 'seven', 120)).toBe(true)

      const early = await store().claim('hook', 'b', lease(119))
      const late = await store().claim('hook', 'b', lease(120))

      expect([early, late]).toEqual([null, 'seven'])
      expect(await store().advance('hook', 'a', 'eight', 200)).toBe(false)
      expect(await store().claim('hook', 'b', lease(121))).toBe('seven')
    })

    test('a claim that was made by a clock far ahead holds up nobody', async () => {
      const [now, ahead] = [Date.UTC(2026, 0, 1), Date.UTC(2030, 0, 1)]
      await store().claim('hook', 'a', lease(ahead))
      await store().advance('hook', 'a', 'seven', ahead + 10)

      const claims = [await store().claim('hook', 'b', lease(now)), await store().claim('hook', 'a', lease(now - 5))]

      // Clocks that differ a little are right.
      expect(claims).toEqual(['seven', null])
    })

    test('who leaves is followed at once', async () => {
      await store().claim('hook', 'a', lease(100))
      await store().advance('hook', 'a', 'seven', 0)

      expect(await store().claim('hook', 'b', lease(101))).toBe('seven')
    })

    test('nobody moves on what nobody has claimed', async () => {
      expect(await store().advance('hook', 'a', 'seven', 100)).toBe(false)
    })
  })
}

/** What every store of requests in flight promises. */
export function inFlightContract(name: string, open: Open<InFlightStore>): void {
  describeStores(name, open, store => {
    test('a server has requests in flight until the last process has removed its record', async () => {
      const found: boolean[] = []
      const look = async () => found.push(await store().hasAny('a', 100))

      await look()
      for (const owner of ['one', 'two']) await store().mark('a', owner, 200)
      await look()
      await store().mark('a', 'one', 0)
      await look()
      await store().mark('a', 'two', 0)
      await look()

      expect(found).toEqual([false, true, true, false])
    })

    test('a record that is not renewed expires, and it concerns one server only', async () => {
      await store().mark('a', 'one', 200)
      await store().mark('a', 'one', 300)

      expect([await store().hasAny('a', 299), await store().hasAny('a', 300)]).toEqual([true, false])
      expect(await store().hasAny('b', 100)).toBe(false)
    })
  })
}
