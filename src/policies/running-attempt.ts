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

/** An attempt that has started and has not ended: what it is given, and what is written down of it. */
export type RunningAttempt = Parameters<Attempt>[0] & {
  readonly secret: string | null
  /** Replaced by a new one when the same server is asked again. */
  entry: AttemptEntry
  /** Whether its end decides if a half-open breaker closes. */
  readonly decides: boolean
}

/** The cause with which a slower attempt is cancelled; one for all, because nobody reads it. */
const LOST = new GatewayError('client_closed_request', 'Another server was quicker.')

/** Starts an attempt.
 *
 * @param options.apart Whether it must be possible to stop it while the call goes on.
 * @returns `null`, with the place given back, when the breaker admits none. */
export function startAttempt(
  deps: FailoverDeps,
  job: Job,
  options: Required<Pick<Parameters<Attempt>[0], 'slot' | 'number' | 'wantsContent' | 'again'>> & {
    readonly apart: boolean
  },
): RunningAttempt | null {
  const { slot, number, wantsContent, again } = options
  const { candidate } = slot
  const isTrusted = candidate.doubted !== true
  const decides = isTrusted && deps.states.target(candidate.target).breaker.openUntil !== 0
  // A half-open breaker admits one call, and another may have come first.
  if (isTrusted && !deps.breakers.admit(candidate.target)) {
    slot.release()
    return null
  }
  return {
    call: job.call,
    slot,
    scope: options.apart ? job.scope.child() : job.scope,
    number,
    secret: deps.credentials.choose(candidate.target),
    wantsContent,
    again,
    entry: job.trail.begin(candidate),
    decides,
  }
}

/** The attempt gave the answer. */
export function commitAttempt(deps: FailoverDeps, { call, scope, slot, entry }: RunningAttempt): void {
  const { target, model } = slot.candidate
  // Who reads a stream gives its place back, but may not read on for a minute: past its time it holds none.
  if (call.stream) scope.onEnd(() => slot.release())
  entry.result = 'ok'
  entry.ms = deps.clock.now() - entry.startedAt
  deps.breakers.committed(target)
  if (!call.stream) deps.breakers.succeeded(target)
  if (model.hedging) deps.hedges.observe(target, call.stream, entry.ms)
}

/** The attempt failed: frees what it holds, and tells the breaker. */
export function failAttempt(deps: FailoverDeps, job: Job, attempt: RunningAttempt, thrown: unknown): Failure {
  const error = job.scope.ended ?? attempt.scope.ended ?? toGatewayError(thrown)
  const { entry } = attempt
  end(deps, job, attempt, error)
  entry.result = error.code
  entry.cause = error.cause
  return { candidate: attempt.slot.candidate, error, ms: entry.ms }
}

/** Ends the entry of an attempt whose server has refused the request, and begins one for the changed request that it is
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

/** Stops an attempt at once because another one was quicker, which counts neither as a failure nor as a success. */
export function abandonAttempt(deps: FailoverDeps, job: Job, attempt: RunningAttempt): void {
  end(deps, job, attempt, LOST)
  attempt.entry.result = job.scope.ended?.code ?? 'lost'
}

function end({ clock, breakers }: FailoverDeps, job: Job, attempt: RunningAttempt, error: GatewayError): void {
  const { scope, slot, entry, decides } = attempt
  if (scope !== job.scope) scope.cancel(error)
  slot.release()
  entry.ms = clock.now() - entry.startedAt
  breakers.failed(slot.candidate.target, error.code, decides)
}
