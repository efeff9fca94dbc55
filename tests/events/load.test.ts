import { expect, test } from 'bun:test'
import type { FleetEvent } from '#core/events.ts'
import type { NewObservation } from '#events/feed.ts'
import { createLoadMonitor } from '#events/load.ts'
import { createIds } from '#lib/id.ts'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'
import type { LoadMetrics } from '#wire/orchestration.ts'

const THRESHOLDS = { response_time: 3000, cpu: 85, memory: 90, error_rate: 0.05, queue: 50 }

function monitorOf() {
  const clock = fakeClock()
  const told: NewObservation[] = []
  const state = { load: {} as LoadMetrics }
  const monitor = createLoadMonitor({
    clock,
    thresholds: () => THRESHOLDS,
    loads: () => [{ server: 'a', load: state.load }],
    observe: seen => told.push(...seen),
  })
  return { clock, told, state, monitor, metrics: () => told.map(({ event }) => event.data.metric) }
}

test.each([
  ['response_time', { response_time_ms: 3001 }, { response_time_ms: 3000 }],
  ['cpu', { cpu_percent: 86 }, { cpu_percent: 85 }],
  ['memory', { memory_percent: 91 }, { memory_percent: 90 }],
  ['error_rate', { error_rate: 0.06 }, { error_rate: 0.05 }],
  ['queue', { queue: 51 }, { queue: 50 }],
] as const)('%s above its threshold is told, and at it is not', (metric, above, at) => {
  const { clock, state, metrics } = monitorOf()

  state.load = at
  clock.advance(5000)
  expect(metrics()).toEqual([])
  state.load = above
  clock.advance(5000)

  expect(metrics()).toEqual([metric])
})

test('an overload is reported once while it lasts, and again when it returns', () => {
  const { clock, told, state } = monitorOf()
  state.load = { cpu_percent: 99 }
  clock.advance(60_000)
  state.load = { cpu_percent: 10 }
  clock.advance(5000)
  state.load = { cpu_percent: 99 }
  clock.advance(5000)

  expect(told.map(({ state: minute }) => minute)).toHaveLength(2)
  expect(new Set(told.map(({ state: minute }) => minute)).size).toBe(2)
})

test('an overload that several processes see within a minute is one event', async () => {
  // Just before a minute begins, so that another process sees it in the next one.
  const clock = fakeClock(Date.UTC(2026, 0, 1, 0, 0, 52))
  const store = createMemoryEvents({ entriesMax: 100, newId: createIds() })
  const kept: FleetEvent[] = []
  const start = () =>
    createLoadMonitor({
      clock,
      thresholds: () => THRESHOLDS,
      loads: () => [{ server: 'a', load: { cpu_percent: 99 } }],
      observe: seen => {
        for (const each of seen)
          void store.add([{ ...each, event: { ...each.event, at: clock.time() } }]).then(more => kept.push(...more))
      },
    })

  start()
  clock.advance(4000)
  start()
  clock.advance(6000)
  await settled()

  expect(kept).toHaveLength(1)
})

type Result = 'ok' | 'upstream_error' | 'lost' | 'model_not_found' | null

/** Tells a monitor of attempts at a server, as of a request and of one that has passed the same answer on. */
function settle({ subscriber }: Pick<ReturnType<typeof createLoadMonitor>, 'subscriber'>, results: readonly Result[]) {
  const record = recordOf({ attempts: results.map(result => attemptEntry('a', { result })) })
  subscriber({ type: 'request-settled', record })
  subscriber({ type: 'request-settled', record: { ...record, passedOn: true } })
}

const failed = (count: number) => Array.from({ length: count }, () => 'upstream_error' as const)

test('the error rate is counted if the server reports none, and ignored when there are too few requests', () => {
  const { clock, monitor, metrics } = monitorOf()

  settle(monitor, failed(19))
  clock.advance(5000)
  expect(metrics()).toEqual([])
  settle(monitor, ['upstream_error', 'upstream_error', 'upstream_error', 'ok', 'lost', 'model_not_found'])
  clock.advance(5000)

  expect(metrics()).toEqual(['error_rate'])
})

test('the error rate is the share of attempts that failed by the server, of those that it has decided', () => {
  const { monitor } = monitorOf()

  settle(monitor, [...failed(5), ...Array.from({ length: 10 }, () => 'ok' as const), null, 'lost'])
  expect(monitor.errorRate('a')).toBeNull()
  settle(
    monitor,
    Array.from({ length: 5 }, () => 'model_not_found' as const),
  )

  expect([monitor.errorRate('a'), monitor.errorRate('b')]).toEqual([0.25, null])
})

test('the error rate is of about the last minute', () => {
  const { clock, monitor } = monitorOf()

  settle(monitor, failed(100))
  clock.advance(60_000)
  settle(
    monitor,
    Array.from({ length: 72 }, () => 'ok' as const),
  )

  expect(monitor.errorRate('a')).toBeCloseTo(28 / 100, 2)
  clock.advance(60_000)
  expect(monitor.errorRate('a')).toBeCloseTo(28 / 100, 2)
  clock.advance(60_000)
  expect(monitor.errorRate('a')).toBeNull()
})
