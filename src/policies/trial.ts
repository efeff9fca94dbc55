import type { Attempt, AttemptEntry, Plan, Trail } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import type { FailoverDeps } from './deps.ts'
import type { Failure } from './exhausted.ts'

/** What all attempts of a call have in common. */
export interface Job {
  readonly attempt: Attempt
  readonly call: Call
  readonly plan: Plan
  readonly scope: Scope
  readonly trail: Trail
}

/** An attempt that is being made: what it is given, and its record. */
export type Trial = Parameters<Attempt>[0] & {
  readonly secret: string | null
  /** Another one once the same server is asked again. */
  entry: AttemptEntry
  /** Whether a half-open breaker waits for it. */
  readonly decides: boolean
}

/** Why an attempt ends that nobody waits for any more; shared, because nobody reads it. */
const LOST = new GatewayError('client_closed_request', 'Another server was quicker.')

/** Opens an attempt; `null`, with the place given back, when the breaker lets none through.
 *
 * @param at.apart Whether it may have to be stopped alone, while the call goes on. */
export function openTrial(
  deps: FailoverDeps,
  job: Job,
  at: Required<Pick<Parameters<Attempt>[0], 'slot' | 'number' | 'wantsContent' | 'again'>> & {
    readonly apart: boolean
  },
): Trial | null {
  const { slot, number, wantsContent, again } = at
  const { candidate } = slot
  const isTrusted = candidate.doubted !== true
  const decides = isTrusted && deps.states.target(candidate.target).breaker.openUntil !== 0
  // Another call may have taken the one trial of a half-open breaker meanwhile.
  if (isTrusted && !deps.breakers.admit(candidate.target)) {
    slot.release()
    return null
  }
  return {
    call: job.call,
    slot,
    scope: at.apart ? job.scope.child() : job.scope,
    number,
    secret: deps.credentials.choose(candidate.target),
    wantsContent,
    again,
    entry: job.trail.begin(candidate),
    decides,
  }
}

/** The attempt gave the answer. */
export function commitTrial(deps: FailoverDeps, { call, slot, entry }: Trial): void {
  const { target, model } = slot.candidate
  entry.result = 'ok'
  entry.ms = deps.clock.now() - entry.startedAt
  deps.breakers.committed(target)
  if (!call.stream) deps.breakers.succeeded(target)
  if (model.hedging) deps.hedges.observe(target, call.stream, entry.ms)
}

/** The attempt failed: frees what it holds, and tells the breaker. */
export function failTrial(deps: FailoverDeps, job: Job, trial: Trial, thrown: unknown): Failure {
  const error = job.scope.ended ?? trial.scope.ended ?? toGatewayError(thrown)
  const { entry } = trial
  end(deps, job, trial, error)
  entry.result = error.code
  entry.cause = error.cause
  return { candidate: trial.slot.candidate, error, ms: entry.ms }
}

/** The server has refused what it was asked, and is asked for something else at the same place. */
export function renewTrial({ clock }: FailoverDeps, { trail }: Job, trial: Trial, refusal: GatewayError): void {
  const { entry, slot } = trial
  entry.result = refusal.code
  entry.ms = clock.now() - entry.startedAt
  entry.cause = refusal.cause
  trial.entry = trail.begin(slot.candidate)
}

/** Another attempt gave the answer first: stops this one at once, which is neither a failure nor a success. */
export function loseTrial(deps: FailoverDeps, job: Job, trial: Trial): void {
  end(deps, job, trial, LOST)
  trial.entry.result = job.scope.ended?.code ?? 'lost'
}

function end({ clock, breakers }: FailoverDeps, job: Job, trial: Trial, error: GatewayError): void {
  const { scope, slot, entry, decides } = trial
  if (scope !== job.scope) scope.cancel(error)
  slot.release()
  entry.ms = clock.now() - entry.startedAt
  breakers.failed(slot.candidate.target, error.code, decides)
}
