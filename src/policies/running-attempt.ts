import type { Attempt, AttemptEntry, Plan, Trail } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import type { FailoverDeps } from './deps.ts'
import type { Failure } from './exhausted.ts'

/** What all attempts of a call have in common, and how one is made. */
export interface Job {
  readonly attempt: Attempt
  readonly call: Call
  readonly plan: Plan
  readonly scope: Scope
  readonly trail: Trail
}

/** An attempt in progress: its input, and its entry in the record of the call. */
export type RunningAttempt = Parameters<Attempt>[0] & {
  readonly secret: string | null
  /** Replaced by a new one when the same server is asked again. */
  entry: AttemptEntry
  /** Whether this attempt is the trial of a half-open breaker. */
  readonly decides: boolean
}

/** The error with which a slower attempt is cancelled. One object serves all attempts, because nobody reads it. */
const LOST = new GatewayError('client_closed_request', 'Another server was quicker.')

/** Starts an attempt.
 *
 * @param options.apart Whether the attempt must be stoppable while the call goes on.
 * @returns `null`, with the place given back, when the breaker admits no call. */
export function startAttempt(
  deps: FailoverDeps,
  job: Job,
  options: Required<Pick<Parameters<Attempt>[0], 'slot' | 'wantsContent' | 'again'>> & {
    readonly apart: boolean
  },
): RunningAttempt | null {
  const { slot, wantsContent, again } = options
  const { candidate } = slot
  const isTrusted = candidate.doubted !== true
  const decides = isTrusted && deps.states.target(candidate.target).breaker.openUntil !== 0
  // A half-open breaker admits one call, and another call may have been first.
  if (isTrusted && !deps.breakers.admit(candidate.target)) {
    slot.release()
    return null
  }
  return {
    call: job.call,
    slot,
    scope: options.apart ? job.scope.child() : job.scope,
    secret: deps.credentials.choose(candidate.target),
    wantsContent,
    again,
    entry: job.trail.begin(candidate),
    decides,
  }
}

/** Records that the attempt gave the answer. */
export function commitAttempt(deps: FailoverDeps, { call, scope, slot, entry }: RunningAttempt): void {
  const { target, model } = slot.candidate
  // The reader of a stream gives the place back. It may also pause for long, so the place is given back at the latest
  // when the time of the call is up.
  if (call.stream) scope.onEnd(() => slot.release())
  entry.result = 'ok'
  entry.ms = deps.clock.now() - entry.startedAt
  deps.breakers.committed(target)
  if (!call.stream) deps.breakers.succeeded(target)
  if (model.hedging) deps.hedges.observe(target, call.stream, entry.ms)
}

/** Records that the attempt failed, tells the breaker, and gives the place back.
 *
 * @param decide Decides what follows. The place is given back only then, because a call that waits gets it at once, and
 * must not get one at a target that has just asked to be left alone. */
export function failAttempt(
  deps: FailoverDeps,
  job: Job,
  attempt: RunningAttempt,
  thrown: unknown,
  decide: (failure: Failure) => void,
): void {
  const error = job.scope.ended ?? attempt.scope.ended ?? toGatewayError(thrown)
  const { entry, slot } = attempt
  end(deps, job, attempt, error)
  entry.result = error.code
  entry.cause = error.cause
  try {
    decide({ candidate: slot.candidate, error, ms: entry.ms })
  } finally {
    slot.release()
  }
}

/** Ends the entry of an attempt whose request the server has refused, and begins one for the changed request that is
 * sent now. */
export function restartAttempt(
  { clock }: FailoverDeps,
  { trail }: Job,
  attempt: RunningAttempt,
  refusal: GatewayError,
): void {
  const { entry, slot } = attempt
  entry.result = refusal.code
  entry.ms = clock.now() - entry.startedAt
  entry.cause = refusal.cause
  attempt.entry = trail.begin(slot.candidate)
}

/** Stops an attempt because another one was quicker. This counts neither as a failure nor as a success. */
export function abandonAttempt(deps: FailoverDeps, job: Job, attempt: RunningAttempt): void {
  end(deps, job, attempt, LOST)
  attempt.entry.result = job.scope.ended?.code ?? 'lost'
  attempt.slot.release()
}

function end({ clock, breakers }: FailoverDeps, job: Job, attempt: RunningAttempt, error: GatewayError): void {
  const { scope, slot, entry, decides } = attempt
  if (scope !== job.scope) scope.cancel(error)
  entry.ms = clock.now() - entry.startedAt
  breakers.failed(slot.candidate.target, error.code, decides)
}
