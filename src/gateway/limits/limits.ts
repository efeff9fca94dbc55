import { type Code, GatewayError } from '#core/errors.ts'
import type { Bucket, Standing, Verdict } from '#core/limiter.ts'

const CODES: Readonly<Record<Bucket['unit'], Code>> = {
  requests: 'rate_limit_exceeded',
  tokens: 'token_limit_exceeded',
  concurrent: 'concurrency_limit_exceeded',
}
const PERIODS: Readonly<Record<number, string>> = { 60000: 'minute', 3600000: 'hour', 86400000: 'day' }

/** The error for a request that a bucket refused, with all that its caller may know.
 *
 * @param tokens What it would have taken. */
export function limitRefusal(verdict: Verdict, refused: Bucket, tokens = 0): GatewayError {
  const { retryAfterMs } = verdict
  const never = retryAfterMs === Infinity
  return new GatewayError(CODES[refused.unit], messageOf(refused, retryAfterMs, tokens), {
    retryAfterMs: never ? null : retryAfterMs,
    shouldRetry: never ? false : undefined,
    headers: limitHeaders(verdict, true),
  })
}

/** The headers that tell how the tightest limits stand.
 *
 * @param withReset Whether they also tell when all is back. */
export function limitHeaders({ requests, tokens }: Verdict, withReset: boolean): Record<string, string> {
  const headers: Record<string, string> = {}
  if (requests !== null) tell(headers, 'requests', requests, withReset)
  if (tokens !== null) tell(headers, 'tokens', tokens, withReset)
  return headers
}

function tell(headers: Record<string, string>, unit: string, standing: Standing, withReset: boolean): void {
  headers[`x-ratelimit-limit-${unit}`] = String(standing.limit)
  headers[`x-ratelimit-remaining-${unit}`] = String(standing.remaining)
  if (withReset) headers[`x-ratelimit-reset-${unit}`] = formatReset(standing.resetMs)
}

function messageOf({ unit, scope, limit, periodMs, burst }: Bucket, retryAfterMs: number, tokens: number): string {
  const seconds = Number((Math.max(1, retryAfterMs) / 1000).toFixed(3))
  const again = `Please try again in ${seconds}s.`
  if (unit === 'concurrent') return `Too many requests at once: the limit is ${limit} (${scope}). ${again}`
  const reached = `Rate limit reached: ${limit} ${unit} per ${PERIODS[periodMs]} (${scope})`
  if (unit === 'requests') return `${reached}. ${again}`
  if (retryAfterMs !== Infinity) return `${reached}; this request may need ${tokens}. ${again}`
  return `This request may need ${tokens} tokens, and the limit never gives more than ${burst} at once (${scope}). Shorten it, or lower max_tokens.`
}

/** A wait as OpenAI writes it: `20ms`, `1s`, `6m0s`, `2h0m0s`. */
function formatReset(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`
  const seconds = Math.ceil(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  if (minutes === 0) return `${seconds}s`
  const rest = `${minutes % 60}m${seconds % 60}s`
  return minutes < 60 ? rest : `${Math.floor(minutes / 60)}h${rest}`
}
