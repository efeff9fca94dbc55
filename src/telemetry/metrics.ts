import { type Gauge, Registry } from 'prom-client'
import type { Fact } from '#core/journal.ts'
import type { RequestRecord } from '#core/record.ts'
import { createEventMetrics } from './event-metrics.ts'
import { createFleetGauges, type FleetSources } from './fleet-gauges.ts'
import { createLiveGauges, type LiveCounts, type LiveSources } from './live-gauges.ts'
import { mergeFamilies } from './merge.ts'
import { createProcessGauges, type ProcessSources } from './process.ts'
import { createRequestMetrics } from './request-metrics.ts'
import type { Metric } from './series.ts'
import { createSessions } from './sessions.ts'

/** What the metrics are told of their surroundings. */
export interface MetricsOptions extends FleetSources, LiveSources, ProcessSources {
  /** Whether a server's attempts count as `ollama_requests_total`. */
  readonly isOllama?: (server: string) => boolean
  /** Where workers of one gateway write down their numbers, so that each can tell those of all. */
  readonly share?: { write(snapshot: unknown): void; readAll(): readonly unknown[] }
  /** Series of one metric that are kept apart (default 2,000). */
  readonly seriesMax?: number
}

/** The metrics of the gateway. */
export interface Metrics {
  /** Counts what the journal tells. */
  subscriber(fact: Fact): void
  /** The Prometheus exposition. */
  render(): Promise<string>
  /** Writes this worker's numbers down for the others; nothing where there are none. */
  publish(): void
  readonly contentType: string
}

const SERIES_MAX = 2000
const SESSIONS_MAX = 10_000

/** Creates the metrics. Label values come from the configuration only; anything else is `other`. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { clock, snapshot, seriesMax = SERIES_MAX } = options
  const requests = createRequestMetrics({ snapshot, isOllama: options.isOllama ?? (() => false), seriesMax })
  const events = createEventMetrics(snapshot, seriesMax)
  const sessions = createSessions(SESSIONS_MAX)
  const live: LiveCounts = { inFlight: 0, streams: 0, reloaded: 1, databaseCalls: 0 }

  function subscriber(fact: Fact): void {
    switch (fact.type) {
      case 'request-started':
        live.inFlight++
        return
      case 'request-settled':
        live.inFlight--
        sessions.seen(sessionOf(fact.record), clock.now())
        requests.settled(fact.record)
        return
      case 'stream-opened':
        live.streams++
        return
      case 'stream-closed':
        live.streams--
        return
      case 'config-reloaded':
        live.reloaded = fact.ok ? 1 : 0
        return
      case 'database-called':
        live.databaseCalls++
        return
      default:
        events.subscriber(fact)
    }
  }

  const gauges = [
    ...createLiveGauges(live, sessions, options),
    ...createFleetGauges(options),
    ...createProcessGauges(options),
  ]
  const metrics: readonly Metric[] = [...requests.metrics, ...events.metrics, ...gauges]
  const registry = registryOf(metrics)
  const { share } = options
  const publish = () => share?.write(metrics.map(metric => ({ ...metric, samples: metric.samples() })))
  return {
    subscriber,
    publish,
    contentType: registry.contentType,
    render() {
      if (share === undefined) return registry.metrics()
      // First its own: what one worker has told, another must not take back.
      publish()
      const all = mergeFamilies(share.readAll())
      return registryOf(all.map(family => ({ ...family, samples: () => family.samples }))).metrics()
    },
  }
}

function registryOf(metrics: readonly Metric[]): Registry {
  const registry = new Registry()
  for (const metric of metrics) register(registry, metric)
  return registry
}

/** Callers with a key count by the key, others by their address. */
function sessionOf(record: RequestRecord): string {
  return record.caller === null || record.caller === 'anonymous' ? record.address : record.caller
}

/** The registry only ever asks for the name and for `get`: any object that has them is a metric. */
function register(registry: Registry, metric: Metric): void {
  const { name, help, type } = metric
  const shaped = { name, help, type, get: () => ({ name, help, type, values: metric.samples(), aggregator: 'sum' }) }
  registry.registerMetric(shaped as unknown as Gauge)
}
