import { type Code, GatewayError } from '#core/errors.ts'
import { type Bucket, PERIODS, type Standing, type Verdict } from '#core/limiter.ts'
import type { RequestRecord } from '#core/record.ts'

const CODES: Readonly<Record<Bucket['unit'], Code>> = {
  requests: 'rate_limit_exceeded',
  tokens: 'token_limit_exceeded',
  concurrent: 'concurrency_limit_exceeded',
}
const PERIOD_NAMES: ReadonlyMap<number, string> = new Map(PERIODS.map(([name, ms]) => [ms, name]))

/** Records when the next request of this kind passes the limits that admitted this one: a later refusal must not name
 * an earlier time. */
export function noteNext(record: RequestRecord, { retryAfterMs }: Verdict, now: number): void {
  if (retryAfterMs > 0) record.nextAt = Math.max(record.nextAt, now + retryAfterMs)
}

/** Makes the error for a request that a bucket refused, with everything that its caller may know.
 *
 * @param asked What it would have taken, and for how long other limits will refuse it. */
export function limitRefusal(
  verdict: Verdict,
  refused: Bucket,
  { tokens, waitMs }: { readonly tokens: number; readonly waitMs: number } = NOTHING,
): GatewayError {
  const retryAfterMs = Math.max(verdict.retryAfterMs, Math.ceil(waitMs))
  const never = retryAfterMs === Infinity
  return new GatewayError(CODES[refused.unit], messageOf(refused, retryAfterMs, tokens), {
    retryAfterMs: never ? null : retryAfterMs,
    shouldRetry: never ? false : undefined,
    headers: putLimits({}, verdict, true),
  })
}

/** Combines two decisions: the tighter of their request limits, and the tighter of their token limits. */
export function tighter(a: Verdict | null, b: Verdict | null): Verdict | null {
  if (a === null || b === null) return a ?? b
  return { ...a, requests: lessOf(a.requests, b.requests), tokens: lessOf(a.tokens, b.tokens) }
}

function lessOf(a: Standing | null, b: Standing | null): Standing | null {
  return b !== null && b.remaining < (a?.remaining ?? Infinity) ? b : a
}

const NOTHING = { tokens: 0, waitMs: 0 }

type Headers = Record<string, string>

/** Writes the state of the tightest limits into headers.
 *
 * @param withReset Whether to add when a limit is full again.
 * @returns The same headers. */
export function putLimits(headers: Headers, { requests, tokens }: Verdict, withReset: boolean): Headers {
  // Written out: a header name that is composed for each request would have to be looked up each time.
  if (requests !== null) {
    headers['x-ratelimit-limit-requests'] = String(requests.limit)
    headers['x-ratelimit-remaining-requests'] = String(requests.remaining)
    if (withReset) headers['x-ratelimit-reset-requests'] = formatReset(requests.resetMs)
  }
  if (tokens !== null) {
    headers['x-ratelimit-limit-tokens'] = String(tokens.limit)
    headers['x-ratelimit-remaining-tokens'] = String(tokens.remaining)
    if (withReset) headers['x-ratelimit-reset-tokens'] = formatReset(tokens.resetMs)
  }
  return headers
}

function messageOf({ unit, scope, limit, periodMs, burst }: Bucket, retryAfterMs: number, tokens: number): string {
  const seconds = Number((Math.max(1, retryAfterMs) / 1000).toFixed(3))
  const again = `Please try again in ${seconds}s.`
  if (unit === 'concurrent') return `Too many requests at once: the limit is ${limit} (${scope}). ${again}`
  const reached = `Rate limit reached: ${limit} ${unit} per ${PERIOD_NAMES.get(periodMs)} (${scope})`
  if (unit === 'requests') return `${reached}. ${again}`
  if (retryAfterMs !== Infinity) return `${reached}; this request may need ${tokens}. ${again}`
  return `This request may need ${tokens} tokens, and the limit never gives more than ${burst} at once (${scope}). Shorten it, or lower max_tokens.`
}

/** Writes a wait as OpenAI does: `20ms`, `1s`, `6m0s`, `2h0m0s`. */
function formatReset(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`
  const seconds = Math.ceil(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  if (minutes === 0) return `${seconds}s`
  const rest = `${minutes % 60}m${seconds % 60}s`
  return minutes < 60 ? rest : `${Math.floor(minutes / 60)}h${rest}`
}
