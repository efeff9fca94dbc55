import type { Candidate, Live, Router, Slot, Slots } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import { type AttemptSummary, GatewayError, toGatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import type { Scope } from '#core/scope.ts'
import type { States } from '#core/servers.ts'

/** The shortest time that a target which limits its callers is left alone, in milliseconds. */
const COOL_MS_MIN = 1000

/** Creates the router that goes from target to target until one commits: the other targets of the model first, then
 * the fallback models, each target once, `maxAttempts` in all.
 *
 * @throws GatewayError the server's own answer when it is the caller's to mend; else what follows from all failures
 * together, with every attempt in `attempts`. */
export function failover(deps: {
  readonly slots: Slots
  readonly states: States
  readonly clock: Clock
  readonly journal: Journal
  readonly maxAttempts: number
}): Router {
  return attempt => (call, plan, scope, trail) => {
    const failures: Failure[] = []
    let rest = plan.candidates

    async function next(): Promise<Live> {
      while (rest.length > 0 && failures.length < deps.maxAttempts) {
        const place = take(deps.slots, rest, scope, failures)
        const slot = place instanceof Promise ? await place : place
        const { candidate } = slot
        rest = rest.filter(other => other !== candidate)
        const last = failures.at(-1)
        if (last !== undefined && candidate.model !== last.candidate.model) {
          deps.journal.note({
            type: 'fallback-taken',
            from: last.candidate.model.name,
            to: candidate.model.name,
            reason: last.error.code,
          })
        }
        const entry = trail.begin(candidate)
        // A plain attempt ends by itself; a stream may have to be stopped by the commit gate alone.
        const own = call.stream ? scope.child() : scope
        try {
          const live = await attempt({ call, slot, scope: own, number: failures.length + 1 })
          entry.result = 'ok'
          entry.ms = deps.clock.now() - entry.startedAt
          return live
        } catch (thrown) {
          const error = scope.ended ?? own.ended ?? toGatewayError(thrown)
          if (own !== scope) own.cancel(error)
          slot.release()
          entry.result = error.code
          entry.ms = deps.clock.now() - entry.startedAt
          entry.cause = error.cause
          if (scope.ended !== null || !error.retryable) throw error
          cool(deps, candidate, error)
          failures.push({ candidate, error, ms: entry.ms })
        }
      }
      throw exhausted(failures)
    }

    return { next }
  }
}

interface Failure {
  readonly candidate: Candidate
  readonly error: GatewayError
  readonly ms: number
}

/** A place at the first candidate that has one; without a promise where none is needed. */
function take(
  slots: Slots,
  rest: readonly Candidate[],
  scope: Scope,
  failures: readonly Failure[],
): Slot | Promise<Slot> {
  // A full house behind a failure is not the story: the failure is.
  const refused = (thrown: unknown) => (failures.length > 0 ? exhausted(failures) : thrown)
  try {
    const place = slots.take(rest, scope)
    return place instanceof Promise ? place.catch(thrown => Promise.reject(refused(thrown))) : place
  } catch (thrown) {
    throw refused(thrown)
  }
}

function cool(
  deps: { readonly states: States; readonly clock: Clock },
  candidate: Candidate,
  error: GatewayError,
): void {
  if (error.code !== 'provider_rate_limited' && error.code !== 'insufficient_quota') return
  const state = deps.states.target(candidate.target)
  state.coolUntil = Math.max(state.coolUntil, deps.clock.now() + Math.max(COOL_MS_MIN, error.retryAfterMs ?? 0))
}

/** What a caller is told when nothing is left to try. */
function exhausted(failures: readonly Failure[]): GatewayError {
  const attempts: AttemptSummary[] = failures.map(({ candidate, error, ms }) => ({
    server: candidate.target.server.id,
    result: error.code,
    ms: Math.round(ms),
  }))
  const errors = failures.map(failure => failure.error)
  const options = { attempts, shouldRetry: false, cause: errors.at(-1)?.cause }
  const all = (...codes: readonly string[]) => errors.every(error => codes.includes(error.code))
  if (all('upstream_timeout', 'upstream_idle_timeout')) {
    return new GatewayError('upstream_timeout', 'No model server began its answer in time.', options)
  }
  if (all('upstream_auth_failed')) {
    return new GatewayError(
      'upstream_auth_failed',
      'The model servers refused the credentials of the gateway.',
      options,
    )
  }
  if (all('provider_rate_limited', 'insufficient_quota')) {
    const waits = errors.map(error => error.retryAfterMs ?? COOL_MS_MIN)
    const code = errors.every(error => error.code === 'insufficient_quota')
      ? 'insufficient_quota'
      : 'provider_rate_limited'
    return new GatewayError(code, 'Every model server limits its requests; try again later.', {
      ...options,
      shouldRetry: undefined,
      retryAfterMs: Math.min(...waits),
    })
  }
  const only = errors.length === 1 ? errors[0] : undefined
  if (only?.code === 'upstream_invalid_response' || only?.code === 'upstream_tls_error') {
    return new GatewayError(only.code, only.message, options)
  }
  return new GatewayError('all_targets_failed', `No model server could answer: ${summary(attempts)}.`, {
    ...options,
    retryAfterMs: COOL_MS_MIN,
  })
}

function summary(attempts: readonly AttemptSummary[]): string {
  return attempts.map(attempt => `${attempt.server} (${attempt.result})`).join(', ')
}
