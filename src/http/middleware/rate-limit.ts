import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Bucket, Limiter, Verdict } from '#core/limiter.ts'
import { limitRefusal, noteNext, putLimits } from '#gateway/limits/limits.ts'
import type { Exchange, Middleware } from '../exchange.ts'

/** Takes one request from each bucket of the caller and a lease from each concurrency limit, and writes the
 * `x-ratelimit-*` headers. It is synchronous when the limiter is.
 *
 * @throws GatewayError `rate_limit_exceeded` or `concurrency_limit_exceeded`, with the exact time after which the next
 * request passes. */
export function rateLimit(limiter: Limiter, journal: Journal, clock: Pick<Clock, 'now'>): Middleware {
  function follow(exchange: Exchange, buckets: readonly Bucket[], verdict: Verdict): void {
    if (verdict.refused !== null) {
      journal.note({ type: 'limit-hit', scope: verdict.refused.scope })
      throw limitRefusal(verdict, verdict.refused)
    }
    exchange.held = buckets
    noteNext(exchange.record, verdict, clock.now())
    writeLimitHeaders(exchange, verdict)
  }

  return function rateLimit(c, next) {
    const exchange = c.env
    const { edge, caller, record } = exchange
    if (caller === null) return next()
    const buckets = edge.buckets(caller, record.address)
    if (buckets.length === 0) return next()
    const verdict = limiter.take(buckets, 0, record.id)
    if (verdict instanceof Promise) {
      return verdict.then(decided => {
        follow(exchange, buckets, decided)
        return next()
      })
    }
    follow(exchange, buckets, verdict)
    return next()
  }
}

/** Writes the `x-ratelimit-*` headers. Request headers that are there already stay if they say that fewer are left. */
export function writeLimitHeaders({ headers, edge }: Exchange, verdict: Verdict): void {
  const told = headers['x-ratelimit-remaining-requests']
  const isTold = told !== undefined && verdict.requests !== null && Number(told) <= verdict.requests.remaining
  putLimits(headers, isTold ? { ...verdict, requests: null } : verdict, edge.fullHeaders)
}
