import { type Gauge, Registry } from 'prom-client'
import type { Clock } from '#core/clock.ts'
import { ERRORS } from '#core/errors.ts'
import type { Fact } from '#core/journal.ts'
import type { RequestRecord } from '#core/record.ts'
import { breakerOf, type Snapshot, type States } from '#core/servers.ts'
import { createFlag, createNames } from './dimensions.ts'
import { createProcessGauges } from './process.ts'
import { createRequestMetrics } from './request-metrics.ts'
import { createCounter, createGauge, type Metric } from './series.ts'
import { createSessions, type Sessions } from './sessions.ts'

/** What the metrics are told of their surroundings. */
export interface MetricsOptions {
  readonly clock: Clock
  readonly version: string
  readonly snapshot: () => Snapshot
  readonly states: States
  /** Whether a server's attempts count as `ollama_requests_total`. */
  readonly isOllama?: (server: string) => boolean
  /** Processes that answer; 1 when absent. */
  readonly workers?: () => number
  /** Retries that may still begin now. */
  readonly retriesLeft?: () => number
  /** Log lines that could not be written. */
  readonly logLinesDropped?: () => number
  /** Calls that wait for a place at a server. */
  readonly queueDepth?: () => number
  /** What the answer cache holds in the memory of this process. */
  readonly cacheSize?: () => { readonly entries: number; readonly bytes: number }
  /** Connections to Redis that stand. */
  readonly redisConnections?: () => number
  /** Requests whose money is held, rows that wait for the database, and rows that were lost for want of room. */
  readonly ledger?: { open(): number; depth(): number; dropped(): number }
  /** Which new calls are refused. */
  readonly overload?: () => 'none' | 'low' | 'all'
  /** Series of one metric that are kept apart (default 2,000). */
  readonly seriesMax?: number
}

/** The metrics of the gateway. */
export interface Metrics {
  /** Counts what the journal tells. */
  subscriber(fact: Fact): void
  /** The Prometheus exposition. */
  render(): Promise<string>
  readonly contentType: string
}

const SERIES_MAX = 2000
const SESSIONS_MAX = 10_000
const BREAKER_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const
const NO_LEDGER = { open: () => 0, depth: () => 0, dropped: () => 0 }
const OVERLOAD = { none: 0, low: 1, all: 2 } as const

/** Creates the metrics. Label values come from the configuration only; anything else is `other`. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { clock, snapshot, seriesMax = SERIES_MAX } = options
  const requests = createRequestMetrics({ snapshot, isOllama: options.isOllama ?? (() => false), seriesMax })
  const events = createEventMetrics(snapshot, seriesMax)
  const sessions = createSessions(SESSIONS_MAX)
  const now: Live = { inFlight: 0, streams: 0, reloaded: 1, lag: 0, databaseCalls: 0 }

  function subscriber(fact: Fact): void {
    switch (fact.type) {
      case 'request-started':
        now.inFlight++
        return
      case 'request-settled':
        now.inFlight--
        sessions.seen(sessionOf(fact.record), clock.now())
        requests.settled(fact.record)
        return
      case 'stream-opened':
        now.streams++
        return
      case 'stream-closed':
        now.streams--
        return
      case 'config-reloaded':
        now.reloaded = fact.ok ? 1 : 0
        return
      case 'fallback-taken':
        events.fallback(fact)
        return
      case 'stream-recovered':
        events.recovery(fact.how)
        return
      case 'hedged':
        events.hedge(fact.won)
        return
      case 'limit-hit':
        events.limit(fact.scope)
        return
      case 'model-loaded':
        events.load(fact.server)
        return
      case 'answer-replayed':
        events.replay()
        return
      case 'event-kept':
        events.kept(fact.event.type)
        return
      case 'event-delivered':
        events.delivered(fact.result)
        return
      case 'webhook-received':
        events.webhook(fact.ok)
        return
      case 'database-called':
        now.databaseCalls++
        return
    }
  }

  const registry = new Registry()
  const gauges = [...liveGauges(now, sessions, options), ...fleetGauges(options), ...createProcessGauges(() => now.lag)]
  for (const metric of [...requests.metrics, ...events.metrics, ...gauges]) register(registry, metric)
  return {
    subscriber,
    contentType: registry.contentType,
    async render() {
      now.lag = await measureLag(clock)
      return registry.metrics()
    },
  }
}

function createEventMetrics(snapshot: () => Snapshot, seriesMax: number) {
  const isModel = (name: string) => snapshot().models.has(name)
  const from = createNames('from', 512, isModel)
  const to = createNames('to', 512, isModel)
  const reason = createNames('reason', 128, name => Object.hasOwn(ERRORS, name))
  const scope = createNames('scope', 32)
  const how = createNames('how', 4)
  const fallbacks = createCounter({
    name: 'gateway_fallbacks_total',
    help: 'Calls that went on to another model.',
    dimensions: [from, to, reason],
    seriesMax,
  })
  const recoveries = createCounter({
    name: 'gateway_recoveries_total',
    help: 'Streams that broke off and went on.',
    dimensions: [how],
    seriesMax,
  })
  const hedges = createCounter({
    name: 'gateway_hedges_total',
    help: 'Calls that a second server was asked for beside the first one, and whether it was quicker.',
    dimensions: [createFlag('won')],
    seriesMax,
  })
  const limited = createCounter({
    name: 'gateway_rate_limited_total',
    help: 'Refusals by a limit.',
    dimensions: [scope],
    seriesMax,
  })
  const server = createNames('server', 512, name => snapshot().servers.has(name))
  const loads = createCounter({
    name: 'gateway_model_loads_total',
    help: 'Calls for which a server had to load the model.',
    dimensions: [server],
    seriesMax,
  })
  const replays = createCounter({
    name: 'gateway_idempotent_replays_total',
    help: 'Calls that got the answer stored under their idempotency key.',
    seriesMax,
  })
  const type = createNames('type', 16)
  const result = createNames('result', 4)
  const kept = createCounter({
    name: 'gateway_events_total',
    help: 'Events of the fleet that this process was the first to keep.',
    dimensions: [type],
    seriesMax,
  })
  const delivered = createCounter({
    name: 'gateway_event_deliveries_total',
    help: 'Deliveries of events to webhooks: ok, retried, or lost for good.',
    dimensions: [result],
    seriesMax,
  })
  const webhooks = createCounter({
    name: 'gateway_webhooks_received_total',
    help: 'Webhooks received, and whether they were genuine and understood.',
    dimensions: [createFlag('ok')],
    seriesMax,
  })
  return {
    metrics: [fallbacks, recoveries, hedges, limited, loads, replays, kept, delivered, webhooks],
    kept: (name: string) => kept.add(1, type.id(name)),
    delivered: (name: string) => delivered.add(1, result.id(name)),
    webhook: (ok: boolean) => webhooks.add(1, ok ? 1 : 0),
    fallback(fact: { readonly from: string; readonly to: string; readonly reason: string }): void {
      fallbacks.add(1, from.id(fact.from), to.id(fact.to), reason.id(fact.reason))
    },
    recovery: (name: string) => recoveries.add(1, how.id(name)),
    hedge: (won: boolean) => hedges.add(1, won ? 1 : 0),
    limit: (name: string) => limited.add(1, scope.id(name)),
    load: (name: string) => loads.add(1, server.id(name)),
    replay: () => replays.add(1),
  }
}

/** What rises and falls; mutable, because it changes with every request. */
interface Live {
  inFlight: number
  streams: number
  /** 1 or 0. */
  reloaded: number
  /** Seconds. */
  lag: number
  databaseCalls: number
}

function liveGauges(now: Live, sessions: Sessions, options: MetricsOptions): readonly Metric[] {
  const { clock, workers = () => 1, logLinesDropped = () => 0, queueDepth = () => 0, overload = () => 'none' } = options
  const { cacheSize = () => ({ entries: 0, bytes: 0 }) } = options
  const { redisConnections = () => 0 } = options
  const { ledger = NO_LEDGER } = options
  return [
    createGauge('gateway_holds_open', 'Calls that are written down and not settled yet.', ledger.open),
    createGauge('gateway_spool_depth', 'Rows that wait for the database.', ledger.depth),
    createGauge('gateway_spool_dropped', 'Rows lost since the start because the spool was full.', ledger.dropped),
    createGauge('http_requests_in_flight', 'Requests being answered.', () => now.inFlight),
    createGauge('gateway_streams_active', 'Streams being sent.', () => now.streams),
    createGauge('gateway_queue_depth', 'Calls that wait for a place at a server.', queueDepth),
    createGauge(
      'gateway_overload_state',
      'Which new calls are refused: 0 none, 1 those of low priority, 2 all.',
      () => OVERLOAD[overload()],
    ),
    createGauge('gateway_cache_entries', 'Answers stored in memory.', () => cacheSize().entries),
    createGauge('gateway_cache_bytes', 'About how much memory they take.', () => cacheSize().bytes),
    createGauge('redis_connections_active', 'Connections to Redis that stand.', redisConnections),
    createGauge('workers_active', 'Processes that answer.', workers),
    createGauge('user_sessions_active', 'Callers of the last five minutes.', () => sessions.count(clock.now())),
    createGauge('gateway_config_last_reload_successful', 'Whether the last reload worked.', () => now.reloaded),
    createGauge('database_queries_total', 'Calls of the database.', () => now.databaseCalls, 'counter'),
    createGauge('gateway_log_lines_dropped_total', 'Log lines lost.', logLinesDropped, 'counter'),
  ]
}

function fleetGauges({ clock, snapshot, states, version, retriesLeft = () => 0 }: MetricsOptions): readonly Metric[] {
  const build = { version, bun: process.versions.bun ?? 'none' }
  const ids = () => [...snapshot().servers.keys()]
  return [
    createGauge('gateway_inflight', 'Attempts in flight at a server.', () =>
      ids().map(server => ({ labels: { server }, value: states.server(server).inFlight })),
    ),
    // A server that was not probed yet has no value: neither up nor down would be true.
    createGauge('gateway_server_up', 'Whether the last probes of a server were good.', () =>
      ids()
        .filter(server => states.server(server).health !== 'unknown')
        .map(server => ({ labels: { server }, value: states.server(server).health === 'unhealthy' ? 0 : 1 })),
    ),
    createGauge('gateway_breaker_state', 'The circuit breaker of a target: 0 closed, 1 half-open, 2 open.', () =>
      [...snapshot().targets.values()].map(target => ({
        labels: { server: target.server.id, model: target.upstreamModel },
        value: BREAKER_VALUES[breakerOf(states.target(target), clock.now())],
      })),
    ),
    createGauge('gateway_retry_budget_remaining', 'Retries that may begin now.', retriesLeft),
    createGauge('gateway_build_info', 'The version that runs.', () => [{ labels: build, value: 1 }]),
  ]
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

/** How long a turn of the event loop takes that has nothing of its own to do. */
async function measureLag(clock: Clock): Promise<number> {
  const before = clock.now()
  await new Promise(resolve => setImmediate(resolve))
  return (clock.now() - before) / 1000
}
