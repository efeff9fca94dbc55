import type { Candidate, Live, Run, Slot } from '#core/attempt.ts'
import type { GatewayError } from '#core/errors.ts'
import type { FailoverDeps } from './deps.ts'
import { exhausted, type Failure } from './exhausted.ts'
import { Itinerary, type Step } from './itinerary.ts'
import { observeAnswer, observeFailure, observeStart } from './observe.ts'
import { type Course, race } from './race.ts'
import { ruleFor } from './rules.ts'
import { commitTrial, failTrial, type Job, loseTrial, openTrial, renewTrial, type Trial } from './trial.ts'
import { pause } from './wait.ts'

/** The attempts of one call; a class, because one is made for each call. */
export class FailoverRun implements Run, Course<Trial> {
  private readonly deps: FailoverDeps
  private readonly job: Job
  private readonly way: Itinerary
  private readonly failures: Failure[] = []
  private made = 0
  private committed: Candidate | null = null
  private last: Trial | null = null
  /** The attempt that was made beside the first one. */
  private beside: Trial | null = null
  /** What the caller is told when another model does not take the prompt either. */
  private refusal: GatewayError | null = null

  constructor(deps: FailoverDeps, job: Job) {
    this.deps = deps
    this.job = job
    this.way = new Itinerary(deps, job.plan, job.scope)
  }

  async next(): Promise<Live> {
    if (this.committed !== null) this.way.exclude(this.committed)
    while (true) {
      const first = this.made === 0
      const wanted = this.way.next(this.limit() - this.made, first)
      const budgeted = wanted?.free === false && this.deps.budget.take()
      const step = wanted === null || wanted.free || budgeted ? wanted : this.way.nextFree()
      if (step === null) throw this.over()
      try {
        const wait = step.at === 0 ? 0 : step.at - this.deps.clock.now()
        if (wait > 0) {
          await pause(this.deps.clock, wait, this.job.scope)
          if (!step.candidates.every(candidate => this.way.isKept(candidate))) continue
        }
        const place = this.take(step)
        const slot = place instanceof Promise ? await place : place
        const hedged = first && slot.candidate.model.hedging ? this.hedgedAt(slot) : null
        if (hedged !== null) {
          const live = await hedged
          if (live !== null) return live
          continue
        }
        // A plain attempt ends by itself; a stream may have to be stopped by the commit gate alone.
        const trial = this.open(slot, this.job.call.stream)
        if (trial === null) continue
        try {
          const live = await this.job.attempt(trial)
          this.commit(trial)
          return live
        } catch (thrown) {
          this.failed(trial, thrown)
        }
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
    return this.refusal ?? exhausted(this.failures)
  }

  /** A place at the first candidate that has one; without a promise where none is needed. */
  private take(step: Step): Slot | Promise<Slot> {
    try {
      const place = this.deps.slots.take(step.candidates, this.job.scope)
      return place instanceof Promise ? this.wait(place) : place
    } catch (thrown) {
      throw this.refused(thrown)
    }
  }

  private async wait(place: Promise<Slot>): Promise<Slot> {
    try {
      return await place
    } catch (thrown) {
      throw this.refused(thrown)
    }
  }

  /** A full house behind a failure is not the story: the failure is. */
  private refused(thrown: unknown): unknown {
    return this.failures.length > 0 ? this.over() : thrown
  }

  /** The first attempt, with a second one beside it when that is slow; `null` when this call is not to have one. */
  private hedgedAt(slot: Slot): Promise<Live | null> | null {
    const { model, target } = slot.candidate
    const ms = this.deps.hedges.delay(this.job.call, model, target)
    return ms === null ? null : this.raceAt(slot, ms)
  }

  private async raceAt(slot: Slot, ms: number): Promise<Live | null> {
    const { clock, journal, hedges, budget } = this.deps
    const first = this.open(slot, true)
    if (first === null) return null
    let won = false
    try {
      const winner = await race(first, { clock, ms }, this)
      if (winner === null) return null
      this.commit(winner.trial)
      won = winner.trial !== first
      // It would have taken longer still: without this the usual time would only be that of quick answers.
      if (won) hedges.observe(slot.candidate.target, this.job.call.stream, first.entry.ms)
      return winner.live
    } finally {
      if (this.beside !== null) {
        budget.release()
        journal.note({ type: 'hedged', won })
      }
    }
  }

  run(trial: Trial): Promise<Live> {
    return this.job.attempt(trial)
  }

  second(first: Trial): Trial | null {
    const { slots, hedges, budget } = this.deps
    const { candidate } = first.slot
    if (this.made >= this.limit() || !hedges.hasRoom(candidate.model)) return null
    if (!budget.take()) return null
    const slot = slots.tryTake(this.way.beside(candidate))
    this.beside = slot === null ? null : this.open(slot, true)
    if (this.beside === null) budget.release()
    else hedges.count(candidate.model)
    return this.beside
  }

  /** Counts one more that the last attempt asks the same server, which has refused it; false when none is left. */
  takeOne(refusal: GatewayError): boolean {
    if (this.last === null || this.made >= this.limit()) return false
    this.made++
    renewTrial(this.deps, this.job, this.last, refusal)
    return true
  }

  failed(trial: Trial, thrown: unknown): void {
    const failure = failTrial(this.deps, this.job, trial, thrown)
    if (this.job.plan.observed) observeFailure(this.deps, trial)
    this.follow(trial, failure)
  }

  lost(trial: Trial): void {
    loseTrial(this.deps, this.job, trial)
    if (this.job.plan.observed) observeFailure(this.deps, trial)
    this.way.restore(trial.slot.candidate)
  }

  private open(slot: Slot, apart: boolean): Trial | null {
    this.way.leave(slot.candidate)
    const wantsContent = this.deps.retry.afterFilter && this.mayAskAnother(slot.candidate)
    const trial = openTrial(this.deps, this.job, { slot, number: this.made + 1, apart, wantsContent, again: this })
    if (trial === null) return null
    this.made++
    this.last = trial
    if (this.job.plan.observed) observeStart(this.deps, trial)
    this.noteFallback(slot.candidate)
    return trial
  }

  private commit(trial: Trial): void {
    this.committed = trial.slot.candidate
    commitTrial(this.deps, trial)
    if (this.job.plan.observed) observeAnswer(this.deps, trial)
  }

  /** Decides what may follow a failure.
   *
   * @throws GatewayError when nothing may. */
  private follow({ secret }: Trial, failure: Failure): void {
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
    this.way.failed(candidate, outcome)
    // What a server stores it must not store twice.
    if (call.body.store === true && !error.unsent) throw this.over()
  }

  /** Whether a refusal is met by a fallback model; if so, only such are left to try. */
  private leadsToFallback(candidate: Candidate, { code }: GatewayError): boolean {
    if (code === 'context_length_exceeded') return this.way.onlyLarger(candidate)
    return code === 'content_policy_violation' && this.deps.retry.afterFilter && this.way.onlyFallbacks(candidate)
  }

  /** Whether another model could still answer, after an attempt that is now to be made. */
  private mayAskAnother(candidate: Candidate): boolean {
    const { body } = this.job.call
    return body.store !== true && this.made + 1 < this.limit() && this.way.hasFallback(candidate)
  }

  private noteFallback(candidate: Candidate): void {
    const last = this.failures.at(-1)
    if (last === undefined || candidate.model === last.candidate.model) return
    const [from, to] = [last.candidate.model.name, candidate.model.name]
    this.deps.journal.note({ type: 'fallback-taken', from, to, reason: last.error.code })
  }
}
