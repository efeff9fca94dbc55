import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { ServerChange, ServerStore } from '#core/registry.ts'
import { serverSettings } from '#wire/orchestration.ts'

let made = 0

function registrationOf(id: string, at = 100): ServerChange & { readonly kind: 'register' } {
  const settings = serverSettings.parse({ models: ['chat'], role: 'business', weight: 2 })
  return { kind: 'register', at, server: { id, kind: 'ollama', baseUrl: 'http://1.1.1.1:1', by: 'admin', settings } }
}

/** What every registry of servers promises. */
export function serversContract(
  name: string,
  open: () => Promise<{ create(): Promise<ServerStore>; close(): Promise<void> }>,
): void {
  describe(name, () => {
    let opened: Awaited<ReturnType<typeof open>>
    let store: ServerStore

    beforeAll(async () => {
      opened = await open()
      store = await opened.create()
    }, 60_000)
    afterAll(() => opened.close())

    const newId = () => `s-${++made}`
    const found = async (id: string) => (await store.list()).find(record => record.id === id)

    test('gives a server back as it registered', async () => {
      const id = newId()

      const changed = await store.change(registrationOf(id))

      expect(changed).toEqual({ before: null, after: (await found(id)) ?? null })
      expect(await found(id)).toEqual({
        ...registrationOf(id).server,
        origin: 'registered',
        status: 'active',
        alerts: {},
        load: null,
        registeredAt: 100,
        heartbeatAt: 100,
      })
    })

    test('registering again changes it, is a sign of life, and is not new', async () => {
      const id = newId()
      await store.change(registrationOf(id))
      const again = registrationOf(id, 200)

      const changed = await store.change({ ...again, server: { ...again.server, baseUrl: 'http://1.1.1.1:2' } })

      expect(changed?.before?.baseUrl).toBe('http://1.1.1.1:1')
      expect(await found(id)).toMatchObject({ baseUrl: 'http://1.1.1.1:2', registeredAt: 100, heartbeatAt: 200 })
    })

    test('a sign of life keeps the load that was reported last', async () => {
      const id = newId()
      await store.change(registrationOf(id))
      await store.change({ kind: 'beat', id, at: 300, load: { cpu_percent: 40 } })
      await store.change({ kind: 'beat', id, at: 400, load: null })

      expect(await found(id)).toMatchObject({ heartbeatAt: 400, load: { cpu_percent: 40 } })
    })

    test('of all who remove a silent server at once, one did it', async () => {
      const id = newId()
      await store.change(registrationOf(id))

      const removals = await Promise.all(
        [1, 2, 3].map(() => store.change({ kind: 'remove', id, at: 500, silentSince: 100 })),
      )

      expect(removals.filter(removal => removal !== null)).toHaveLength(1)
      expect(await found(id)).toBeUndefined()
    })

    test('a server that was heard of meanwhile is not removed as silent', async () => {
      const id = newId()
      await store.change(registrationOf(id))
      await store.change({ kind: 'beat', id, at: 450, load: null })

      expect(await store.change({ kind: 'remove', id, at: 500, silentSince: 400 })).toBeNull()
      expect(await found(id)).toMatchObject({ status: 'active', registeredAt: 100, heartbeatAt: 450 })
    })

    test('what was removed gives no sign of life, and is new when it registers again', async () => {
      const id = newId()
      await store.change(registrationOf(id))
      await store.change({ kind: 'remove', id, at: 500 })

      expect(await store.change({ kind: 'beat', id, at: 600, load: null })).toBeNull()
      expect(await store.change({ kind: 'remove', id, at: 600 })).toBeNull()
      expect((await store.change(registrationOf(id, 700)))?.before).toBeNull()
      expect(await found(id)).toMatchObject({ registeredAt: 700 })
    })

    test('draining is told to one, stays over another registration, and is undone', async () => {
      const id = newId()
      await store.change(registrationOf(id))
      const mark = (status: 'active' | 'draining') => store.change({ kind: 'mark', id, status, at: 1, by: 'ops' })

      const marks = [await mark('draining'), await mark('draining')]
      await store.change(registrationOf(id, 200))
      const during = (await found(id))?.status
      marks.push(await mark('active'))

      expect(marks.map(each => each?.after?.status ?? null)).toEqual(['draining', null, 'active'])
      expect(during).toBe('draining')
    })

    test('keeps what alerts say until each is resolved, or the server is recovered', async () => {
      const id = newId()
      const alert = (name: string, effect: 'degraded' | 'draining' | null) =>
        store.change({ kind: 'alert', id, alert: name, effect, at: 1 })

      const told = [await alert('a', 'degraded'), await alert('a', 'degraded'), await alert('b', 'draining')]
      const during = (await found(id))?.alerts
      await alert('a', null)
      const left = (await found(id))?.alerts
      await store.change({ kind: 'mark', id, status: 'active', at: 2, by: 'ops' })

      expect(told.map(each => each === null)).toEqual([false, true, false])
      expect(during).toEqual({ a: 'degraded', b: 'draining' })
      expect(left).toEqual({ b: 'draining' })
      expect(await found(id)).toBeUndefined()
      expect(await alert('b', null)).toBeNull()
    })

    test('of a server that never registered only its draining is kept', async () => {
      const id = newId()
      const mark = (status: 'active' | 'draining') => store.change({ kind: 'mark', id, status, at: 1, by: 'ops' })
      await mark('draining')

      expect(await found(id)).toMatchObject({ origin: 'declared', status: 'draining', by: 'ops' })
      expect(await store.change({ kind: 'beat', id, at: 2, load: null })).toBeNull()
      expect(await store.change({ kind: 'remove', id, at: 2 })).toBeNull()
      expect(await mark('active')).toMatchObject({ after: null })
      expect(await found(id)).toBeUndefined()
    })
  })
}
