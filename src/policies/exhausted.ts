import type { Candidate } from '#core/attempt.ts'
import { type AttemptSummary, GatewayError } from '#core/errors.ts'

/** The wait that callers are told when no server named one, in milliseconds. */
const RETRY_MS = 1000

/** An attempt that failed. */
export interface Failure {
  readonly candidate: Candidate
  readonly error: GatewayError
  readonly ms: number
  /** How long the target asks to wait, with whichever credential is usable first; absent or `null` when it did not say.
   */
  readonly waitMs?: number | null
}

/** Makes the error that the caller gets when no target is left to try.
 *
 * @param restMs For how long a target is left alone from now on. Other calls may have been told of a longer wait. */
export function exhausted(failures: readonly Failure[], restMs: (candidate: Candidate) => number): GatewayError {
  const attempts: AttemptSummary[] = failures.map(({ candidate, error, ms }) => ({
    server: candidate.target.server.id,
    result: error.code,
    ms: Math.round(ms),
  }))
  const errors = failures.map(failure => failure.error)
  const [first] = errors
  if (first === undefined) {
    return new GatewayError('no_healthy_upstream', 'No other model server is left; try again shortly.', {
      retryAfterMs: RETRY_MS,
    })
  }
  const options = { attempts, shouldRetry: false, cause: errors.at(-1)?.cause }
  const all = (...codes: readonly string[]) => errors.every(error => codes.includes(error.code))
  if (all('upstream_timeout', 'upstream_idle_timeout')) {
    return new GatewayError('upstream_timeout', 'No model server began its answer in time.', options)
  }
  if (all('upstream_auth_failed')) {
    const message = 'The model servers refused the credentials of the gateway.'
    return new GatewayError('upstream_auth_failed', message, options)
  }
  if (all('provider_rate_limited', 'insufficient_quota')) {
    return new GatewayError(
      all('insufficient_quota') ? 'insufficient_quota' : 'provider_rate_limited',
      'Every model server limits its requests; try again later.',
      { ...options, shouldRetry: undefined, retryAfterMs: smallestWait(failures, restMs) },
    )
  }
  const alone = failures.every(({ candidate }) => candidate.target.id === failures[0]?.candidate.target.id)
  if (alone && (all('upstream_invalid_response') || all('upstream_tls_error'))) {
    return new GatewayError(first.code, first.message, options)
  }
  return new GatewayError('all_targets_failed', `No model server could answer: ${summary(attempts)}.`, {
    ...options,
    retryAfterMs: RETRY_MS,
  })
}

/** Counts only the last failure of each target. */
function smallestWait(failures: readonly Failure[], restMs: (candidate: Candidate) => number): number {
  const waits = new Map<string, number>()
  for (const { candidate, waitMs } of failures) {
    waits.set(candidate.target.id, Math.max(waitMs ?? RETRY_MS, Math.ceil(restMs(candidate))))
  }
  return Math.min(...waits.values())
}

function summary(attempts: readonly AttemptSummary[]): string {
  const times = new Map<string, number>()
  for (const { server, result } of attempts) {
    const what = `${server} (${result})`
    times.set(what, (times.get(what) ?? 0) + 1)
  }
  return [...times].map(([what, count]) => (count === 1 ? what : `${what} ${count} times`)).join(', ')
}
