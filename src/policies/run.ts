import type { Attempt, Candidate, Live, Plan, Run, Slot, Trail } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { type GatewayError, toGatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import type { FailoverDeps } from './deps.ts'
import { exhausted, type Failure } from './exhausted.ts'
import { Itinerary, type Step } from './itinerary.ts'
import { ruleFor } from './rules.ts'
import { pause } from './wait.ts'

interface Job {
  readonly attempt: Attempt
  readonly call: Call
  readonly plan: Plan
  readonly scope: Scope
  readonly trail: Trail
}

/** The attempts of one call; a class, because one is made for each call. */
export class FailoverRun implements Run {
  private readonly deps: FailoverDeps
  private readonly job: Job
  private readonly way: Itinerary
  private readonly failures: Failure[] = []
  private made = 0
  private committed: Candidate | null = null
  /** What the caller is told when a longer context does not help either. */
  private tooLong: GatewayError | null = null

  constructor(deps: FailoverDeps, job: Job) {
    this.deps = deps
    this.job = job
    this.way = new Itinerary(deps, job.plan.candidates, job.scope)
  }

  async next(): Promise<Live> {
    if (this.committed !== null) this.way.exclude(this.committed)
    while (true) {
      const first = this.made === 0
      const step = this.way.next(this.limit() - this.made, first)
      if (step === null) throw this.over()
      const budgeted = !step.free
      if (budgeted && !this.deps.budget.take()) throw this.over()
      try {
        const wait = step.at === 0 ? 0 : step.at - this.deps.clock.now()
        if (wait > 0) await pause(this.deps.clock, wait, this.job.scope)
        const place = this.take(step)
        const slot = place instanceof Promise ? await place : place
        const live = await this.tryAt(slot)
        if (live !== null) return live
      } finally {
        if (budgeted) this.deps.budget.release()
      }
    }
  }

  /** One attempt of a stream is kept back until its first commit: for going on when it is cut. */
  private limit(): number {
    const { maxAttempts, retry } = this.deps
    const keeps = retry.keepOne && this.job.call.stream && this.committed === null && maxAttempts > 1
    return keeps ? maxAttempts - 1 : maxAttempts
  }

  private over(): GatewayError {
    return this.tooLong ?? exhausted(this.failures)
  }

  /** A place at the first candidate that has one; without a promise where none is needed. */
  private take(step: Step): Slot | Promise<Slot> {
    // A full house behind a failure is not the story: the failure is.
    const refused = (thrown: unknown) => (this.failures.length > 0 ? this.over() : thrown)
    try {
      const place = this.deps.slots.take(step.candidates, this.job.scope)
      return place instanceof Promise ? place.catch(thrown => Promise.reject(refused(thrown))) : place
    } catch (thrown) {
      throw refused(thrown)
    }
  }

  /** One attempt; `null` when it failed and another may follow. */
  private async tryAt(slot: Slot): Promise<Live | null> {
    const { deps, job } = this
    const { candidate } = slot
    const { target } = candidate
    this.way.leave(candidate)
    // Another call may have taken the one trial of a half-open breaker meanwhile.
    if (candidate.doubted !== true && !deps.breakers.admit(target)) {
      slot.release()
      return null
    }
    this.noteFallback(candidate)
    const entry = job.trail.begin(candidate)
    const secret = deps.credentials.choose(target)
    // A plain attempt ends by itself; a stream may have to be stopped by the commit gate alone.
    const own = job.call.stream ? job.scope.child() : job.scope
    const number = ++this.made
    try {
      const live = await job.attempt({ call: job.call, slot, scope: own, number, secret })
      entry.result = 'ok'
      entry.ms = deps.clock.now() - entry.startedAt
      this.committed = candidate
      deps.breakers.committed(target)
      if (!job.call.stream) deps.breakers.succeeded(target)
      return live
    } catch (thrown) {
      const error = job.scope.ended ?? own.ended ?? toGatewayError(thrown)
      if (own !== job.scope) own.cancel(error)
      slot.release()
      entry.result = error.code
      entry.ms = deps.clock.now() - entry.startedAt
      entry.cause = error.cause
      deps.breakers.failed(target, error.code)
      this.follow(candidate, secret, { candidate, error, ms: entry.ms })
      return null
    }
  }

  /** Decides what may follow a failure.
   *
   * @throws GatewayError when nothing may. */
  private follow(candidate: Candidate, secret: string | null, failure: Failure): void {
    const { call, scope } = this.job
    const { error } = failure
    if (scope.ended !== null) throw error
    if (error.code === 'context_length_exceeded' && this.way.onlyLarger(candidate)) {
      this.tooLong ??= error
      this.failures.push(failure)
      return
    }
    if (!error.retryable) throw this.tooLong ?? error
    this.failures.push(failure)
    const hasCredential = ruleFor(error.code).rotates && this.deps.credentials.rejected(candidate.target, secret, error)
    this.way.failed(candidate, error, hasCredential)
    // What a server stores it must not store twice.
    if (call.body.store === true && !error.unsent) throw this.over()
  }

  private noteFallback(candidate: Candidate): void {
    const last = this.failures.at(-1)
    if (last === undefined || candidate.model === last.candidate.model) return
    const [from, to] = [last.candidate.model.name, candidate.model.name]
    this.deps.journal.note({ type: 'fallback-taken', from, to, reason: last.error.code })
  }
}
