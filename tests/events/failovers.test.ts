import { expect, test } from 'bun:test'
import type { FleetEvent } from '#core/events.ts'
import { createFailovers } from '#events/failovers.ts'
import { createFeed, type Feed } from '#events/feed.ts'
import { createIds } from '#lib/id.ts'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { createMemoryInFlight } from '#stores/memory-in-flight.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const INITIATED = {
  series: 'failover:a',
  state: 'initiated',
  initially: 'completed',
  event: { type: 'failover_initiated', server: 'a', data: {} },
} as const

/** Processes over one store; `inFlight` counts what each has under way at the server `a`. */
function processes(count: number, shared = true) {
  const clock = fakeClock()
  const events = createMemoryEvents({ entriesMax: 100, newId: createIds() })
  const inFlightStore = createMemoryInFlight()
  const all = Array.from({ length: count }, (_, index) => {
    const self = { inFlight: 0 }
    const feed: Feed = createFeed({
      store: events,
      clock,
      shared,
      journal: { note: fact => failovers.subscriber(fact) },
    })
    const failovers = createFailovers({
      clock,
      events,
      inFlightStore,
      owner: `${index}`,
      shared,
      inFlight: () => self.inFlight,
      observe: feed.observe,
    })
    failovers.start()
    return Object.assign(self, { feed, since: failovers.since, stop: failovers.stop })
  })
  return {
    clock,
    all,
    completed: async () =>
      (await events.list({ after: '', limit: 100 })).filter(({ type }) => type === 'failover_completed'),
    async pass(ms: number) {
      for (let left = ms; left > 0; left -= 250) {
        clock.advance(Math.min(left, 250))
        await settled()
      }
    },
  }
}

const endOf = ([event]: readonly FleetEvent[]) => event?.data

test('a failover is complete when the last request of all processes has ended', async () => {
  const { all, pass, completed } = processes(3)
  const [first, second, third] = all
  if (second !== undefined) second.inFlight = 1
  if (third !== undefined) third.inFlight = 1
  first?.feed.observe([INITIATED])

  await pass(30_000)
  expect(await completed()).toEqual([])
  if (second !== undefined) second.inFlight = 0
  await pass(10_000)
  expect(await completed()).toEqual([])
  if (third !== undefined) third.inFlight = 0
  await pass(3000)

  expect(await completed()).toHaveLength(1)
  expect(endOf(await completed())).toMatchObject({ outcome: 'drained' })
})

test('another process completes the failover of a process that died, without waiting for its requests', async () => {
  const { all, pass, completed } = processes(2)
  const [first, second] = all
  if (first !== undefined) first.inFlight = 1
  first?.feed.observe([INITIATED])
  await pass(8000)

  first?.stop()
  first?.feed.stop()
  await pass(7000)
  expect(await completed()).toEqual([])
  await pass(6000)

  expect(await completed()).toHaveLength(1)
  expect(second?.since('a')).toBeNull()
})

test('a single process completes a failover at once', async () => {
  const { all, pass, completed, clock } = processes(1, false)
  const [only] = all
  if (only !== undefined) only.inFlight = 1
  only?.feed.observe([INITIATED])
  await pass(3000)
  expect(only?.since('a')).toBe(3000)

  if (only !== undefined) only.inFlight = 0
  await pass(500)

  expect(endOf(await completed())).toEqual({ outcome: 'drained', ms: 3250 })
  expect(clock.pending).toBe(0)
})

test.each([true, false])('a clock that is set back does not delay the end of a failover (shared: %p)', async shared => {
  const { all, clock, pass, completed } = processes(1, shared)
  const [first] = all
  if (first !== undefined) first.inFlight = 1
  first?.feed.observe([INITIATED])
  await pass(2000)
  clock.jump(-3_600_000)
  if (first !== undefined) first.inFlight = 0
  await pass(15_000)

  expect(endOf(await completed())).toEqual({ outcome: 'drained', ms: 0 })
})
