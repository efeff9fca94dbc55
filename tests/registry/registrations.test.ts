import { expect, test } from 'bun:test'
import { isDraining, type ServerRecord, type ServerStore } from '#core/registry.ts'
import { createRegistrations } from '#registry/registrations.ts'
import { createMemoryServers } from '#stores/memory-servers.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { serverSettings } from '#wire/orchestration.ts'

test('an older look that is answered late does not undo what was seen since', async () => {
  const clock = fakeClock()
  const kept = createMemoryServers()
  const late = Promise.withResolvers<void>()
  let looks = 0
  const store: ServerStore = {
    change: change => kept.change(change),
    async list() {
      const seen = await kept.list()
      if (looks++ === 0) await late.promise
      return seen
    },
  }
  const told: boolean[] = []
  const onChange = (records: ReadonlyMap<string, ServerRecord>) => told.push(isDraining(records.get('a')))
  const registrations = createRegistrations({
    store,
    clock,
    silenceMs: () => 90_000,
    isTakenOver: () => false,
    onChange,
    onDeparted() {},
  })

  const started = registrations.start()
  await settled()
  await registrations.change({ kind: 'mark', id: 'a', status: 'draining', at: clock.time(), by: 'operator' })
  late.resolve()
  await started

  expect([isDraining(registrations.current().get('a')), ...told]).toEqual([true, true])
  registrations.stop()
})

/** A registry with one registered server, and its store, which can be away. */
async function registryOfOne() {
  const clock = fakeClock()
  const kept = createMemoryServers()
  const state = { away: false }
  const unlessAway = <T>(work: () => Promise<T>) => (state.away ? Promise.reject(new Error('away')) : work())
  const store: ServerStore = {
    list: () => unlessAway(kept.list),
    change: change => unlessAway(() => kept.change(change)),
  }
  const departed: string[] = []
  const registrations = createRegistrations({
    store,
    clock,
    silenceMs: () => 90_000,
    isTakenOver: () => false,
    onChange() {},
    onDeparted: ({ id }) => departed.push(id),
  })
  await registrations.start()
  const settings = serverSettings.parse({})
  const server = { id: 'a', kind: 'ollama', baseUrl: 'http://1.1.1.1:1', by: 'admin', settings }
  await registrations.change({ kind: 'register', server, at: clock.time() })
  async function pass(ms: number) {
    for (let left = ms; left > 0; left -= 1000) {
      clock.advance(1000)
      await settled()
    }
  }
  return { clock, state, registrations, departed, pass }
}

test('a server that falls silent departs', async () => {
  const { registrations, departed, pass } = await registryOfOne()

  await pass(88_000)
  expect(departed).toEqual([])
  await pass(6000)

  expect(departed).toEqual(['a'])
  registrations.stop()
})

test('no server departs because the store was away for its signs of life', async () => {
  const { state, registrations, departed, pass } = await registryOfOne()

  state.away = true
  await pass(300_000)
  state.away = false
  await pass(80_000)
  expect([departed, registrations.current().size]).toEqual([[], 1])
  await pass(20_000)

  expect(departed).toEqual(['a'])
  registrations.stop()
})

test('no server departs because this process stood still, or its clock was set', async () => {
  const { clock, registrations, departed, pass } = await registryOfOne()

  clock.jump(3_600_000)
  await pass(80_000)
  expect([departed, registrations.current().size]).toEqual([[], 1])
  await pass(20_000)

  expect(departed).toEqual(['a'])
  registrations.stop()
})

test('a server departs in its time also when the clock was set back', async () => {
  const { clock, registrations, departed, pass } = await registryOfOne()
  clock.jump(-3_600_000)
  await pass(4000)
  await registrations.change({ kind: 'beat', id: 'a', at: clock.time(), load: null })
  await pass(88_000)
  const meanwhile = [...departed]
  await pass(6000)

  expect([meanwhile, departed]).toEqual([[], ['a']])
  registrations.stop()
})
