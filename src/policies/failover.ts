import type { Candidate, Live, Router, Run, Slot } from '#core/attempt.ts'
import type { GatewayError } from '#core/errors.ts'
import type { FailoverDeps } from './deps.ts'
import { exhausted, type Failure } from './exhausted.ts'
import { Itinerary, type Step } from './itinerary.ts'
import { observeAnswer, observeFailure, observeStart } from './observe.ts'
import { type Course, race } from './race.ts'
import { ruleFor } from './rules.ts'
import {
  abandonAttempt,
  commitAttempt,
  failAttempt,
  type Job,
  type RunningAttempt,
  restartAttempt,
  startAttempt,
} from './running-attempt.ts'
import { pause } from './wait.ts'

/** Creates the router that goes from attempt to attempt until one commits, in the order of the itinerary: at most
 * `maxAttempts` in all, within the one deadline of the scope, and no more than the budget of the fleet allows.
 *
 * @throws GatewayError the server's own answer when it is the caller's to mend; else what follows from all failures
 * together, with every attempt in `attempts`. */
export function failover(deps: FailoverDeps): Router {
  return attempt => (call, plan, scope, trail) => new FailoverRun(deps, { attempt, call, plan, scope, trail })
}

/** The attempts of one call. A class and no closures, because one is made for each call. */
class FailoverRun implements Run, Course<RunningAttempt> {
  private readonly deps: FailoverDeps
  private readonly job: Job
  private readonly itinerary: Itinerary
  private readonly failures: Failure[] = []
  private attemptsMade = 0
  /** The candidate whose answer was committed last. That answer may have broken off since. */
  private committed: Candidate | null = null
  private lastStarted: RunningAttempt | null = null
  /** The second attempt that was started beside a slow first one. */
  private hedge: RunningAttempt | null = null
  /** The first refusal that only another model can avoid (the prompt is too long, or was filtered). The caller gets it
   * when no fallback model answers either. */
  private refusal: GatewayError | null = null

  constructor(deps: FailoverDeps, job: Job) {
    this.deps = deps
    this.job = job
    this.itinerary = new Itinerary(deps, job.plan, job.scope)
  }

  async next(): Promise<Live> {
    if (this.committed !== null) this.itinerary.exclude(this.committed)
    while (true) {
      const first = this.attemptsMade === 0
      const wanted = this.itinerary.nextStep(this.attemptsMax() - this.attemptsMade, first)
      const budgeted = wanted?.free === false && this.deps.budget.take()
      const step = wanted === null || wanted.free || budgeted ? wanted : this.itinerary.nextFreeStep()
      if (step === null) throw this.finalError()
      try {
        const wait = step.at === 0 ? 0 : step.at - this.deps.clock.now()
        if (wait > 0) {
          await pause(this.deps.clock, wait, this.job.scope)
          if (!step.candidates.every(candidate => this.itinerary.isOpen(candidate))) continue
        }
        const place = this.takePlace(step)
        const slot = place instanceof Promise ? await place : place
        const hedged = first && slot.candidate.model.hedging ? this.startHedged(slot) : null
        if (hedged !== null) {
          const live = await hedged
          if (live !== null) return live
          continue
        }
        // A stream must be stoppable without ending the call. A plain attempt is never stopped alone.
        const attempt = this.start(slot, this.job.call.stream)
        if (attempt === null) continue
        try {
          const live = await this.job.attempt(attempt)
          this.commit(attempt)
          return live
        } catch (thrown) {
          this.failed(attempt, thrown)
        }
      } finally {
        if (budgeted) this.deps.budget.release()
      }
    }
  }

  /** How many attempts may be made now. Before a stream is committed, one attempt is kept for its recovery. */
  private attemptsMax(): number {
    const { maxAttempts, retry } = this.deps
    const keeps = retry.keepOne && this.job.call.stream && this.committed === null && maxAttempts > 1
    return keeps ? maxAttempts - 1 : maxAttempts
  }

  private finalError(): GatewayError {
    return this.refusal ?? exhausted(this.failures, candidate => this.itinerary.restMs(candidate))
  }

  /** Takes a place at the first candidate that has one. It returns no promise when a place is free at once. */
  private takePlace(step: Step): Slot | Promise<Slot> {
    try {
      const place = this.deps.slots.take(step.candidates, this.job.scope, step.later)
      return place instanceof Promise ? place.catch(thrown => this.failPlace(thrown)) : place
    } catch (thrown) {
      return this.failPlace(thrown)
    }
  }

  /** Fails a call that got no place. If servers have failed before, the caller is told of those failures: full servers
   * are not the cause then. */
  private failPlace(thrown: unknown): never {
    throw this.job.scope.ended ?? (this.failures.length > 0 ? this.finalError() : thrown)
  }

  /** Makes the first attempt, with a hedge in case it is slow; `null` when this call may not be hedged. */
  private startHedged(slot: Slot): Promise<Live | null> | null {
    const { model, target } = slot.candidate
    const ms = this.deps.hedges.delay(this.job.call, model, target)
    return ms === null ? null : this.raceFrom(slot, ms)
  }

  /** Races the attempt at `slot` against a second one that starts after `ms` milliseconds.
   *
   * @returns `null` when both failed and others may follow. */
  private async raceFrom(slot: Slot, ms: number): Promise<Live | null> {
    const { clock, journal, hedges, budget } = this.deps
    const first = this.start(slot, true)
    if (first === null) return null
    let won = false
    try {
      const winner = await race(first, { clock, ms }, this)
      if (winner === null) return null
      this.commit(winner.attempt)
      won = winner.attempt !== first
      // The first attempt would have taken even longer. If its time were left out, only quick answers would count, and
      // hedges would start earlier and earlier.
      if (won) hedges.observe(slot.candidate.target, this.job.call.stream, first.entry.ms)
      return winner.live
    } finally {
      if (this.hedge !== null) {
        budget.release()
        journal.note({ type: 'hedged', won })
      }
    }
  }

  run(attempt: RunningAttempt): Promise<Live> {
    return this.job.attempt(attempt)
  }

  startSecond(first: RunningAttempt): RunningAttempt | null {
    const { slots, hedges, budget } = this.deps
    const { candidate } = first.slot
    if (this.attemptsMade >= this.attemptsMax() || !hedges.hasRoom(candidate.model)) return null
    if (!budget.take()) return null
    const slot = slots.tryTake(this.itinerary.hedgeCandidates(candidate))
    this.hedge = slot === null ? null : this.start(slot, true)
    if (this.hedge === null) budget.release()
    else hedges.count(candidate.model)
    return this.hedge
  }

  /** Counts one more attempt at the same place: the server has refused the request, and is asked again in another form.
   *
   * @returns `false` when no attempt is left. */
  takeOne(refusal: GatewayError): boolean {
    if (this.lastStarted === null || this.attemptsMade >= this.attemptsMax()) return false
    this.attemptsMade++
    restartAttempt(this.deps, this.job, this.lastStarted, refusal)
    return true
  }

  failed(attempt: RunningAttempt, thrown: unknown): void {
    failAttempt(this.deps, this.job, attempt, thrown, failure => {
      if (this.job.plan.observed) observeFailure(this.deps, attempt)
      this.decideNext(attempt, failure)
    })
  }

  lost(attempt: RunningAttempt): void {
    abandonAttempt(this.deps, this.job, attempt)
    if (this.job.plan.observed) observeFailure(this.deps, attempt)
    this.itinerary.putBack(attempt.slot.candidate)
  }

  private start(slot: Slot, apart: boolean): RunningAttempt | null {
    const wantsContent = this.deps.retry.afterFilter && this.mayAskAnother(slot.candidate)
    const attempt = startAttempt(this.deps, this.job, { slot, apart, wantsContent, again: this })
    this.itinerary.markTried(slot.candidate, attempt !== null)
    if (attempt === null) return null
    this.attemptsMade++
    this.lastStarted = attempt
    if (this.job.plan.observed) observeStart(this.deps, attempt)
    this.noteFallback(slot.candidate)
    return attempt
  }

  private commit(attempt: RunningAttempt): void {
    this.committed = attempt.slot.candidate
    commitAttempt(this.deps, attempt)
    if (this.job.plan.observed) observeAnswer(this.deps, attempt)
  }

  /** Decides what may follow a failure.
   *
   * @throws GatewayError when nothing may. */
  private decideNext({ secret }: RunningAttempt, failure: Failure): void {
    const { call, scope } = this.job
    const { candidate, error } = failure
    if (scope.ended !== null) throw error
    if (this.leadsToFallback(candidate, error)) {
      this.refusal ??= error
      this.failures.push(failure)
      return
    }
    if (!error.retryable) throw this.refusal ?? error
    const rotates = ruleFor(error.code).rotates
    const outcome = rotates ? this.deps.credentials.rejected(candidate.target, secret, error) : error
    this.failures.push({ ...failure, waitMs: outcome?.retryAfterMs ?? null })
    this.itinerary.failed(candidate, outcome)
    // The server stores this answer (`store: true`), and a second attempt would store it twice.
    if (call.body.store === true && !error.unsent) throw this.finalError()
  }

  /** Whether fallback models may answer what this model refuses. If so, only fallback models are left to try. */
  private leadsToFallback(candidate: Candidate, { code }: GatewayError): boolean {
    if (code === 'context_length_exceeded') return this.itinerary.onlyLarger(candidate)
    return code === 'content_policy_violation' && this.deps.retry.afterFilter && this.itinerary.onlyFallbacks(candidate)
  }

  /** Whether another model could still be asked if the attempt that is about to start is refused. */
  private mayAskAnother(candidate: Candidate): boolean {
    const { body } = this.job.call
    return body.store !== true && this.attemptsMade + 1 < this.attemptsMax() && this.itinerary.hasFallback(candidate)
  }

  private noteFallback(candidate: Candidate): void {
    const last = this.failures.at(-1)
    if (last === undefined || candidate.model === last.candidate.model) return
    const [from, to] = [last.candidate.model.name, candidate.model.name]
    this.deps.journal.note({ type: 'fallback-taken', from, to, reason: last.error.code })
  }
}
