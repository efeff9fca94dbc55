import type { Clock } from '#core/clock.ts'
import { createGauge, type Metric } from './series.ts'
import type { Sessions } from './sessions.ts'

/** The counts behind the gauges; mutable, because they change with every request. */
export interface LiveCounts {
  inFlight: number
  streams: number
  /** 1 if the last reload of the configuration succeeded, else 0. */
  reloaded: number
  /** Since the start of the process. */
  databaseCalls: number
}

/** Where the gauges read their values. */
export interface LiveSources {
  readonly clock: Clock
  /** How many worker processes serve requests. */
  readonly workers: () => number
  /** Log lines that could not be written. */
  readonly logLinesDropped: () => number
  /** Calls that wait for a place at a server. */
  readonly queueDepth: () => number
  /** What the answer cache holds in the memory of this process. */
  readonly cacheSize: () => { readonly entries: number; readonly bytes: number }
  /** Open connections to Redis. */
  readonly redisConnections: () => number
  readonly ledger: LedgerNumbers
  /** When the server certificate expires, in epoch milliseconds; `null` where there is none. */
  readonly certificateEnds: (() => number | null) | undefined
  /** Which new calls are refused. */
  readonly overload: () => 'none' | 'low' | 'all'
}

/** The numbers of the ledger and its spool. */
export interface LedgerNumbers {
  /** Requests with an open hold. */
  open(): number
  /** Rows in the spool that wait for the database. */
  depth(): number
  /** Rows that were lost since the start because the spool was full, or damaged on the disk. */
  dropped(): number
  /** The used share (0 to 1, or more) of the budget with the least left, one entry for each scope of budgets. */
  budgets(): readonly { readonly scope: string; readonly ratio: number }[]
}

const OVERLOAD = { none: 0, low: 1, all: 2 } as const

/** Creates the gauges of what the process is doing. */
export function createLiveGauges(live: LiveCounts, sessions: Sessions, sources: LiveSources): readonly Metric[] {
  const { clock, overload, cacheSize } = sources
  return [
    ...ledgerGauges(sources.ledger),
    createGauge('http_requests_in_flight', 'Requests being answered.', () => live.inFlight),
    createGauge('gateway_streams_active', 'Streams being sent.', () => live.streams),
    createGauge('gateway_queue_depth', 'Calls that wait for a place at a server.', sources.queueDepth),
    createGauge(
      'gateway_overload_state',
      'Which new calls are refused: 0 none, 1 those of low priority, 2 all.',
      () => OVERLOAD[overload()],
    ),
    createGauge('gateway_cache_entries', 'Answers stored in memory.', () => cacheSize().entries),
    createGauge('gateway_cache_bytes', 'About how much memory they take.', () => cacheSize().bytes),
    createGauge('redis_connections_active', 'Connections to Redis that stand.', sources.redisConnections),
    createGauge('workers_active', 'Processes that answer.', sources.workers),
    createGauge(
      'user_sessions_active',
      'Callers of the last five minutes; one that several workers have answered counts once for each.',
      () => sessions.count(clock.now()),
    ),
    createGauge(
      'gateway_certificate_expires_seconds',
      'When the certificate of service.tls ends, in seconds since the epoch.',
      () => {
        const ends = sources.certificateEnds?.() ?? null
        return ends === null ? [] : ends / 1000
      },
    ),
    createGauge('gateway_config_last_reload_successful', 'Whether the last reload worked.', () => live.reloaded),
    createGauge('database_queries_total', 'Calls of the database.', () => live.databaseCalls, 'counter'),
    createGauge('gateway_log_lines_dropped_total', 'Log lines lost.', sources.logLinesDropped, 'counter'),
  ]
}

function ledgerGauges({ open, depth, dropped, budgets }: LedgerNumbers): readonly Metric[] {
  return [
    createGauge('gateway_holds_open', 'Calls that are written down and not settled yet.', open),
    createGauge('gateway_spool_depth', 'Rows that wait for the database.', depth),
    createGauge('gateway_spool_dropped', 'Rows lost since the start because the spool was full or damaged.', dropped),
    // Without the name of the key or tenant: whoever may read metrics sees those of all tenants.
    createGauge('gateway_budget_used_ratio', 'How much of the budget is used that has the least left.', () =>
      budgets().map(({ scope, ratio }) => ({ labels: { scope }, value: ratio })),
    ),
  ]
}
