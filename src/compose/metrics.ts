import type { CacheStore } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { States } from '#core/states.ts'
import { overloadOf } from '#gateway/limits/overload.ts'
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

/** The parts whose values the metrics show. */
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
  readonly pressure: Pick<Pressed, 'read' | 'memoryMax'>
  readonly certificateEnds?: (() => number | null) | undefined
  readonly shared: Pick<Shared, 'crew' | 'metrics'>
}

/** Builds the metrics. Where there are several workers, each writes its values to a file for the others once a second.
 *
 * @returns The metrics, and `stop`, which writes a last time and ends that. */
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
    overload: () => overloadOf(pressure.read()),
    lagMs: () => pressure.read().lagMs,
    memoryLimit: pressure.memoryMax,
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
    // The next turn is set first, so that one failure, such as too many open files, does not end the writing.
    disarm = clock.after(PUBLISH_MS, turn)
    metrics.publish()
  }
  return () => {
    disarm()
    metrics.publish()
  }
}
