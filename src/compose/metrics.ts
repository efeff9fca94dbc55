import type { CacheStore } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { States } from '#core/states.ts'
import { overloadOf, type Pressure } from '#gateway/limits/overload.ts'
import { OLLAMA_KIND } from '#providers/index.ts'
import type { Redis } from '#stores/redis.ts'
import type { Log } from '#telemetry/log.ts'
import { createMetrics, type Metrics } from '#telemetry/metrics.ts'
import { VERSION } from '../version.ts'
import type { Calls } from './calls.ts'
import type { Accounting } from './ledger.ts'
import type { Pressed } from './pressure.ts'
import type { Shared } from './workers.ts'

const PUBLISH_MS = 1000

/** Whose numbers the metrics tell. */
export interface MetricParts {
  readonly clock: Clock
  readonly environment: () => string | null
  readonly snapshot: () => Snapshot
  readonly states: States
  readonly calls: Pick<Calls, 'queueDepth' | 'retriesLeft'>
  readonly cache: Pick<CacheStore, 'size'>
  readonly ledger: Pick<Accounting, 'numbers'>
  readonly log: Pick<Log, 'dropped'>
  readonly redis: Redis | null
  readonly pressure: () => Pressure
  readonly memoryMax: Pressed['memoryMax']
  readonly certificateEnds?: (() => number | null) | undefined
  readonly shared: Pick<Shared, 'crew' | 'metrics'>
}

/** Puts the metrics together; where several workers serve, each writes its own down for the others, once a second.
 *
 * @returns The metrics, and what ends that with a last time. */
export function composeMetrics(parts: MetricParts): { readonly metrics: Metrics; stop(): void } {
  const { clock, snapshot, calls, pressure, redis } = parts
  const { crew, metrics: share } = parts.shared
  const metrics = createMetrics({
    clock,
    version: VERSION,
    environment: parts.environment,
    snapshot,
    states: parts.states,
    isOllama: server => snapshot().servers.get(server)?.kind === OLLAMA_KIND,
    logLinesDropped: parts.log.dropped,
    queueDepth: calls.queueDepth,
    redisConnections: () => redis?.connections() ?? 0,
    retriesLeft: calls.retriesLeft,
    ledger: parts.ledger.numbers,
    overload: () => overloadOf(pressure()),
    lagMs: () => pressure().lagMs,
    memoryLimit: parts.memoryMax,
    certificateEnds: parts.certificateEnds,
    cacheSize: parts.cache.size,
    workers: () => crew.size,
    ...(share !== undefined && { share }),
  })
  return { metrics, stop: share === undefined ? () => {} : publishNowAndThen(metrics, clock) }
}

function publishNowAndThen(metrics: Metrics, clock: Clock): () => void {
  let disarm = clock.after(PUBLISH_MS, turn)
  function turn(): void {
    // First, so that numbers that cannot be read for once, for want of descriptors, are not the last ones.
    disarm = clock.after(PUBLISH_MS, turn)
    metrics.publish()
  }
  return () => {
    disarm()
    metrics.publish()
  }
}
