import { createStates } from '#registry/states.ts'
import { createMetrics, type Metrics, type MetricsOptions } from '#telemetry/metrics.ts'
import { fakeClock } from './clock.ts'
import { snapshotOf } from './fleet.ts'

/** The metrics of a gateway of which nothing is known but this. */
export function metricsOf(more: Partial<MetricsOptions> = {}): Metrics {
  return createMetrics({
    clock: fakeClock(),
    version: '1.2.3',
    environment: () => null,
    snapshot: () => snapshotOf([]),
    states: createStates(),
    isOllama: () => false,
    logLinesDropped: () => 0,
    queueDepth: () => 0,
    redisConnections: () => 0,
    retriesLeft: () => 0,
    ledger: { open: () => 0, depth: () => 0, dropped: () => 0, budgets: () => [] },
    overload: () => 'none',
    lagMs: () => 0,
    memoryLimit: () => 1,
    certificateEnds: undefined,
    cacheSize: () => ({ entries: 0, bytes: 0 }),
    workers: () => 1,
    ...more,
  })
}
