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

/** What the metrics are built from. */
export interface MetricsOptions extends FleetSources, LiveSources, ProcessSources {
  /** Whether a server's attempts count as `ollama_requests_total`. */
  readonly isOllama: (server: string) => boolean
  /** Where the workers of one gateway write their values and read each other's, so that a scrape of any worker shows the
   * whole gateway; absent for a single process. */
  readonly share?: { write(snapshot: unknown): void; readAll(): readonly unknown[] }
  /** How many series one metric keeps before further ones are counted as `other` (default 2,000). */
  readonly seriesMax?: number
}

/** The metrics of the gateway. */
export interface Metrics {
  /** Counts an event of the journal. */
  subscriber(fact: Fact): void
  /** The Prometheus exposition. */
  render(): Promise<string>
  /** Writes this worker's values for the other workers; does nothing in a single process. */
  publish(): void
  readonly contentType: string
}

const SERIES_MAX = 2000
const SESSIONS_MAX = 10_000

/** Creates the metrics. Label values come from the configuration and fixed lists only, never from a caller's text;
 * anything else is `other`. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { clock, snapshot, seriesMax = SERIES_MAX } = options
  const requests = createRequestMetrics({ snapshot, isOllama: options.isOllama, seriesMax })
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
      // Its own values first, so that the next scrape, by any worker, cannot show a smaller counter than this one.
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

/** What a session is counted by: the key of the caller, or the address of an anonymous one. */
function sessionOf(record: RequestRecord): string {
  return record.caller === null || record.caller === 'anonymous' ? record.address : record.caller
}

/** Registers a metric of ours with prom-client, whose registry uses nothing but a metric's `name` and `get`. */
function register(registry: Registry, metric: Metric): void {
  const { name, help, type } = metric
  const shaped = { name, help, type, get: () => ({ name, help, type, values: metric.samples(), aggregator: 'sum' }) }
  registry.registerMetric(shaped as unknown as Gauge)
}
