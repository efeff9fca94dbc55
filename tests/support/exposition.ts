/** Reads a Prometheus exposition strictly: each sample by its name and labels as they are written.
 *
 * @throws when a line is neither a comment nor a sample, or a sample occurs twice or before its type. */
export function parseExposition(text: string): ReadonlyMap<string, number> {
  const samples = new Map<string, number>()
  const types = new Set<string>()
  const label = String.raw`[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"`
  const line = new RegExp(String.raw`^([a-zA-Z_:][\w:]*)(\{${label}(?:,${label})*\})? (\S+)$`)
  if (!text.endsWith('\n')) throw new Error('the exposition does not end with a line feed')
  for (const each of text.split('\n')) {
    if (each === '' || each.startsWith('# HELP ')) continue
    const type = /^# TYPE (\S+) (?:counter|gauge|histogram)$/.exec(each)
    if (type !== null) {
      types.add(type[1] ?? '')
      continue
    }
    const [, name = '', labels = '', value = ''] = line.exec(each) ?? []
    const family = name.replace(/_(?:bucket|sum|count)$/, '')
    if (name === '' || (!types.has(name) && !types.has(family))) throw new Error(`no sample: ${each}`)
    if (samples.has(name + labels)) throw new Error(`twice: ${each}`)
    samples.set(name + labels, value === '+Inf' ? Infinity : Number(value))
  }
  return samples
}

/** The metrics that are told of from the start, whatever has happened. */
export const METRICS_ALWAYS = [
  'http_requests_total',
  'http_request_duration_seconds',
  'http_requests_in_flight',
  'ollama_requests_total',
  'workers_active',
  'user_sessions_active',
  'gateway_requests_total',
  'gateway_attempts_total',
  'gateway_upstream_duration_seconds',
  'gateway_overhead_seconds',
  'gateway_time_to_first_token_seconds',
  'gateway_inter_token_seconds',
  'gateway_tokens_total',
  'gateway_fallbacks_total',
  'gateway_rate_limited_total',
  'gateway_inflight',
  'gateway_streams_active',
  'gateway_server_up',
  'gateway_config_last_reload_successful',
  'gateway_build_info',
]
