import { GatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import type { Limiter, Verdict } from '#core/limiter.ts'
import type { Exchange, Middleware } from '../exchange.ts'

/** Takes one from each of the caller's token buckets and says what is left.
 *
 * @throws GatewayError `rate_limit_exceeded` with the exact time after which the next request passes. */
export function rateLimit(limiter: Limiter, journal: Journal): Middleware {
  return function rateLimit(c, next) {
    const exchange = c.env
    const { edge, caller, record } = exchange
    if (caller === null) return next()
    const verdict = limiter.take(edge.buckets(caller, record.address))
    if (verdict === null) return next()
    tell(exchange, verdict)
    if (verdict.allowed) return next()
    journal.note({ type: 'limit-hit', scope: verdict.scope })
    throw new GatewayError('rate_limit_exceeded', message(verdict), { retryAfterMs: verdict.retryAfterMs })
  }
}

function tell({ headers, edge }: Exchange, verdict: Verdict): void {
  headers['x-ratelimit-limit-requests'] = String(verdict.limit)
  headers['x-ratelimit-remaining-requests'] = String(verdict.remaining)
  if (!verdict.allowed || edge.fullHeaders) headers['x-ratelimit-reset-requests'] = formatReset(verdict.resetMs)
}

function message(verdict: Verdict): string {
  const seconds = Math.max(0.001, verdict.retryAfterMs / 1000)
  return `Rate limit reached: ${verdict.limit} requests per minute (${verdict.scope}). Please try again in ${Number(seconds.toFixed(3))}s.`
}

/** A wait as OpenAI writes it: `20ms`, `1s`, `6m0s`. */
function formatReset(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`
  const seconds = Math.ceil(ms / 1000)
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`
}
