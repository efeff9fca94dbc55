/** One question of a panel, and how its lines are called. */
export interface Query {
  readonly expr: string
  readonly legend: string
}

/** What a panel looks like; `time` draws lines, `states` one band for each series, `stat` one number. */
export type Look = 'time' | 'states' | 'stat'

/** A panel of the dashboard. */
export interface Panel {
  readonly title: string
  /** A unit that Grafana knows. */
  readonly unit: string
  readonly queries: readonly Query[]
  readonly look?: Look
  /** Where a number turns yellow, and where red. */
  readonly limits?: readonly [number, number]
  /** What the numbers of a state are called, from 0 up. */
  readonly states?: readonly string[]
}

/** A row of the dashboard. */
export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

const GATEWAY = 'job="citadel", instance=~"$gateway"'
const MODEL = `${GATEWAY}, model=~"$model"`
const SERVER = `${GATEWAY}, server=~"$server"`
const CALL = `${SERVER}, model=~"$model"`
const ANSWERS = `${GATEWAY}, method="POST", route=~"/(v1|api)/.+"`

/** Everything that the dashboard shows, from top to bottom. */
export const ROWS: readonly Row[] = [
  {
    title: 'At a glance',
    panels: [
      stat('Gateways up', 'short', 'sum(up{job="citadel"})'),
      stat('Requests', 'reqps', rate('http_requests_total', GATEWAY)),
      stat('Errors', 'percentunit', 'max(gateway_error_ratio{instance=~"$gateway"})', [0.05, 0.1]),
      stat('First token, p95', 's', quantile(0.95, 'gateway_time_to_first_token_seconds', CALL), [1, 5]),
      stat('In flight', 'short', `sum(http_requests_in_flight{${GATEWAY}})`),
      stat('Cost an hour', 'currencyUSD', `${rate('gateway_cost_usd_total', CALL)} * 3600`),
      stat('Servers down', 'short', `count(gateway_server_up{${SERVER}} == 0) or vector(0)`, [1, 1]),
      stat('Cache hits', 'percentunit', 'cache_hit_ratio'),
    ],
  },
  {
    title: 'Traffic',
    panels: [
      lines('Requests by route', 'reqps', rate('http_requests_total', GATEWAY, 'route'), '{{route}}'),
      lines('Model calls by model', 'reqps', rate('gateway_requests_total', CALL, 'model'), '{{model}}'),
      lines('Model calls by server', 'reqps', rate('gateway_requests_total', CALL, 'server'), '{{server}}'),
      lines('Model calls by class', 'reqps', 'models_usage_by_type', '{{type}}'),
      several('At once', 'short', [
        [`sum(http_requests_in_flight{${GATEWAY}})`, 'requests'],
        [`sum(gateway_streams_active{${GATEWAY}})`, 'streams'],
        [`sum(gateway_queue_depth{${GATEWAY}})`, 'waiting'],
      ]),
      lines('Callers of the last five minutes', 'short', `sum(user_sessions_active{${GATEWAY}})`, 'callers'),
    ],
  },
  {
    title: 'Latency and first token',
    panels: [
      several('Model calls, to the end', 's', [
        [quantile(0.5, 'http_request_duration_seconds', ANSWERS), 'p50'],
        [quantile(0.95, 'http_request_duration_seconds', ANSWERS), 'p95'],
        [quantile(0.99, 'http_request_duration_seconds', ANSWERS), 'p99'],
      ]),
      lines('Average by gateway', 's', 'gateway_response_seconds_average{instance=~"$gateway"}', '{{instance}}'),
      lines(
        'First token, p95',
        's',
        quantile(0.95, 'gateway_time_to_first_token_seconds', CALL, 'server'),
        '{{server}}',
      ),
      lines(
        'Answers of servers, p95',
        's',
        quantile(0.95, 'gateway_upstream_duration_seconds', CALL, 'server'),
        '{{server}}',
      ),
      several('Between two pieces of a stream', 's', [
        [quantile(0.5, 'gateway_inter_token_seconds', GATEWAY), 'p50'],
        [quantile(0.95, 'gateway_inter_token_seconds', GATEWAY), 'p95'],
      ]),
      several('Added by the gateway', 's', [
        [quantile(0.5, 'gateway_overhead_seconds', GATEWAY), 'p50'],
        [quantile(0.99, 'gateway_overhead_seconds', GATEWAY), 'p99'],
      ]),
    ],
  },
  {
    title: 'Errors and fallbacks',
    panels: [
      lines('Errors by endpoint', 'percentunit', 'error_rate_by_endpoint', '{{route}}'),
      lines('Errors by code', 'reqps', `${rate('gateway_errors_total', GATEWAY, 'code')} > 0`, '{{code}}'),
      lines(
        'Failed attempts at servers',
        'reqps',
        rate('gateway_attempts_total', `${SERVER}, result!="ok"`, 'server', 'result'),
        '{{server}}: {{result}}',
      ),
      lines(
        'Fallbacks to other models',
        'reqps',
        rate('gateway_fallbacks_total', GATEWAY, 'from', 'to', 'reason'),
        '{{from}} to {{to}}: {{reason}}',
      ),
      several('Streams that broke and went on, and hedges', 'reqps', [
        [rate('gateway_recoveries_total', GATEWAY, 'how'), 'recovered: {{how}}'],
        [rate('gateway_hedges_total', GATEWAY, 'won'), 'hedged, quicker: {{won}}'],
        [rate('gateway_events_skipped_total', GATEWAY), 'events skipped'],
      ]),
      lines('Retries that may begin', 'short', `gateway_retry_budget_remaining{${GATEWAY}}`, '{{instance}}'),
    ],
  },
  {
    title: 'Tokens and cost',
    panels: [
      lines('Tokens by kind', 'short', rate('gateway_tokens_total', CALL, 'type'), '{{type}}'),
      lines('Tokens written by model', 'short', 'response_tokens_generated{model=~"$model"}', '{{model}}'),
      lines('Tokens saved by the cache', 'short', rate('gateway_saved_tokens_total', MODEL, 'model'), '{{model}}'),
      lines(
        'Cost an hour by model',
        'currencyUSD',
        `${rate('gateway_cost_usd_total', CALL, 'model')} * 3600`,
        '{{model}}',
      ),
      lines(
        'Cost an hour by server',
        'currencyUSD',
        `${rate('gateway_cost_usd_total', CALL, 'server')} * 3600`,
        '{{server}}',
      ),
      lines(
        'Calls without a known price',
        'reqps',
        rate('gateway_cost_unknown_total', CALL, 'server', 'model'),
        '{{model}} at {{server}}',
      ),
    ],
  },
  {
    title: 'Servers and breakers',
    panels: [
      states('Servers', `min by (server) (gateway_server_up{${SERVER}})`, '{{server}}', ['down', 'up']),
      states(
        'Circuit breakers',
        `max by (server, model) (gateway_breaker_state{${SERVER}})`,
        '{{model}} at {{server}}',
        ['closed', 'half-open', 'open'],
      ),
      lines('Attempts in flight', 'short', `sum by (server) (gateway_inflight{${SERVER}})`, '{{server}}'),
      several('Models loaded', 'reqps', [
        [rate('gateway_model_loads_total', SERVER, 'server'), '{{server}}: loaded'],
        [rate('gateway_model_loads_avoided_total', SERVER, 'server'), '{{server}}: spared'],
      ]),
      lines('Events of the fleet', 'reqps', rate('gateway_events_total', GATEWAY, 'type'), '{{type}}'),
      several('Webhooks', 'reqps', [
        [rate('gateway_event_deliveries_total', GATEWAY, 'result'), 'sent: {{result}}'],
        [rate('gateway_webhooks_received_total', GATEWAY, 'ok'), 'received, genuine: {{ok}}'],
      ]),
    ],
  },
  {
    title: 'Limits and budgets',
    panels: [
      lines('Refused by limits', 'reqps', rate('gateway_rate_limited_total', GATEWAY, 'scope'), '{{scope}}'),
      lines('Budget used most', 'percentunit', `max by (scope) (gateway_budget_used_ratio{${GATEWAY}})`, '{{scope}}'),
      lines('Calls that wait for a place', 'short', `gateway_queue_depth{${GATEWAY}}`, '{{instance}}'),
      several('Wait for a place', 's', [
        [quantile(0.5, 'gateway_queue_wait_seconds', GATEWAY), 'p50'],
        [quantile(0.95, 'gateway_queue_wait_seconds', GATEWAY), 'p95'],
      ]),
      states('Overload', `gateway_overload_state{${GATEWAY}}`, '{{instance}}', ['none', 'low refused', 'all refused']),
      lines('Calls not settled', 'short', `gateway_holds_open{${GATEWAY}}`, '{{instance}}'),
    ],
  },
  {
    title: 'Cache',
    panels: [
      lines('Hit ratio', 'percentunit', 'cache_hit_ratio', 'hits'),
      several('Answers', 'reqps', [
        [rate('cache_hits_total', GATEWAY), 'from the cache'],
        [rate('cache_misses_total', GATEWAY), 'not in the cache'],
        [rate('gateway_coalesced_total', GATEWAY), 'shared with an equal call'],
        [rate('gateway_idempotent_replays_total', GATEWAY), 'by idempotency key'],
      ]),
      several('Memory of the cache', 'bytes', [[`gateway_cache_bytes{${GATEWAY}}`, '{{instance}}']]),
      lines(
        'Money saved an hour',
        'currencyUSD',
        `${rate('gateway_saved_cost_usd_total', MODEL, 'model')} * 3600`,
        '{{model}}',
      ),
      lines('Answers stored', 'short', `gateway_cache_entries{${GATEWAY}}`, '{{instance}}'),
    ],
  },
  {
    title: 'Runtime',
    panels: [
      several('Memory', 'bytes', [
        [`process_resident_memory_bytes{${GATEWAY}}`, '{{instance}}'],
        [`process_heap_bytes{${GATEWAY}}`, '{{instance}}: heap'],
        [`gateway_memory_limit_bytes{${GATEWAY}}`, '{{instance}}: limit'],
      ]),
      lines('Processor', 'percentunit', rate('process_cpu_seconds_total', GATEWAY, 'instance'), '{{instance}}'),
      lines('Event loop, how late', 's', `process_event_loop_lag_seconds{${GATEWAY}}`, '{{instance}}'),
      lines('Open files and connections', 'short', `process_open_fds{${GATEWAY}}`, '{{instance}}'),
      lines('Calls of the database', 'ops', rate('database_queries_total', GATEWAY, 'instance'), '{{instance}}'),
      lines('Connections to Redis', 'short', `redis_connections_active{${GATEWAY}}`, '{{instance}}'),
      several('Rows that wait for the database', 'short', [
        [`gateway_spool_depth{${GATEWAY}}`, '{{instance}}'],
        [`gateway_spool_dropped{${GATEWAY}}`, '{{instance}}: lost'],
      ]),
      lines('Log lines lost', 'short', `gateway_log_lines_dropped_total{${GATEWAY}}`, '{{instance}}'),
      lines('Processes', 'short', `workers_active{${GATEWAY}}`, '{{instance}}'),
      lines('Running since', 's', `time() - process_start_time_seconds{${GATEWAY}}`, '{{instance}}'),
      states('Configuration', `gateway_config_last_reload_successful{${GATEWAY}}`, '{{instance}}', [
        'refused',
        'taken over',
      ]),
      lines('Certificate ends in', 's', `gateway_certificate_expires_seconds{${GATEWAY}} - time()`, '{{instance}}'),
      lines('Versions', 'short', `count by (version) (gateway_build_info{${GATEWAY}})`, '{{version}}'),
    ],
  },
]

function rate(metric: string, labels: string, ...by: readonly string[]): string {
  return `sum${byClause(by)}(rate(${metric}{${labels}}[$__rate_interval]))`
}

function quantile(share: number, metric: string, labels: string, ...by: readonly string[]): string {
  return `histogram_quantile(${share}, sum${byClause(['le', ...by])}(rate(${metric}_bucket{${labels}}[$__rate_interval])))`
}

function byClause(labels: readonly string[]): string {
  return labels.length === 0 ? '' : ` by (${labels.join(', ')}) `
}

function stat(title: string, unit: string, expr: string, limits?: readonly [number, number]): Panel {
  return { title, unit, look: 'stat', queries: [{ expr, legend: title }], ...(limits && { limits }) }
}

function lines(title: string, unit: string, expr: string, legend: string): Panel {
  return { title, unit, queries: [{ expr, legend }] }
}

function several(title: string, unit: string, all: readonly (readonly [expr: string, legend: string])[]): Panel {
  return { title, unit, queries: all.map(([expr, legend]) => ({ expr, legend })) }
}

function states(title: string, expr: string, legend: string, names: readonly string[]): Panel {
  return { title, unit: 'short', look: 'states', queries: [{ expr, legend }], states: names }
}
