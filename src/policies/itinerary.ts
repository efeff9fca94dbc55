import type { Candidate, Plan } from '#core/attempt.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import { breakerAdmits, hasPlace, isAvailable } from '#core/states.ts'
import { cool } from './cooldown.ts'
import type { FailoverDeps } from './deps.ts'
import { ruleFor } from './rules.ts'
import { backoff } from './wait.ts'

/** Where the next attempt goes. */
export interface Step {
  /** In order; the first one with a free place is used. */
  readonly candidates: readonly Candidate[]
  /** Candidates that are out now, or have failed. If the attempt has to wait for a place, it may go there once they can
   * be called. */
  readonly later: readonly Candidate[]
  /** When the attempt may start, in monotonic milliseconds; 0 = at once. */
  readonly at: number
  /** Whether the attempt needs no place of the retry budget, because it adds no load to a server that is failing. */
  readonly free: boolean
}

/** A target that failed and may be tried again. */
interface Retry {
  readonly candidate: Candidate
  /** The earliest start, in monotonic milliseconds, and the latest one that it may be put off to. */
  readonly at: number
  readonly latest: number
  /** How often it has failed this call. */
  readonly failures: number
}

type ItineraryDeps = Pick<FailoverDeps, 'states' | 'isOffered' | 'clock' | 'journal' | 'random' | 'retry'>

/** The order in which one call goes through its candidates: first other targets of the same model at once, then the
 * same target again after a wait, then fallback models, then every target that may be retried. A class, because one is
 * made for each call. */
export class Itinerary {
  private readonly deps: ItineraryDeps
  private readonly scope: Scope
  private untried: readonly Candidate[]
  /** Targets that were not tried yet because they were unavailable at the last look. */
  private later: readonly Candidate[]
  private retries: Retry[] | null = null
  private isNew = true

  constructor(deps: ItineraryDeps, { candidates, later = [] }: Pick<Plan, 'candidates' | 'later'>, scope: Scope) {
    this.deps = deps
    this.untried = candidates
    this.later = later
    this.scope = scope
  }

  /** Where the next attempt goes; `null` when nothing is left to try.
   *
   * @param left Attempts that may still be made, this one included.
   * @param first Whether no attempt was made yet. Such a call waits even if every target is out by now. */
  nextStep(left: number, first: boolean): Step | null {
    if (left <= 0) return null
    if (this.isNew) return this.planned()
    this.refresh()
    const [fresh] = this.untried
    const retry = fresh?.fallback || this.isCrowdedOut() ? this.soonestRetry(fresh === undefined, left) : null
    const later = this.later.filter(candidate => this.isStillOffered(candidate))
    // If its target has no place then, a fallback model is better than a wait for one.
    if (retry !== null) return { candidates: [retry.candidate, ...this.untried], later, at: retry.at, free: false }
    if (fresh === undefined && !(first && later.length > 0)) return null
    const again = this.retryBesideWait(left)
    if (again !== null) return { candidates: this.untried, later: [...later, again], at: 0, free: false }
    return { candidates: this.untried, later, at: 0, free: fresh === undefined || first || this.hasNoFailures(fresh) }
  }

  /** Whether only targets that failed are left: there is no other, or all others are full and calls do not wait there. */
  private isCrowdedOut(): boolean {
    const isOut = ({ target }: Candidate) => target.timeouts.queue === 0 && !hasPlace(this.deps.states, target)
    return this.retries !== null && this.untried.every(isOut)
  }

  /** A target that failed, and that the call may go back to while it waits for a place at one of the others: that one may
   * be full for longer than this call can wait. It is asked at the next look of the queue, which is wait enough but for
   * a server that has asked for a longer one. */
  private retryBesideWait(left: number): Candidate | null {
    const { states, clock, retry } = this.deps
    if (this.retries === null || this.untried.some(({ target }) => hasPlace(states, target))) return null
    const failed = this.soonestRetry(false, left)
    const rest = failed === null ? 0 : Math.max(this.restMs(failed.candidate), retry.backoffBaseMs)
    return failed === null || failed.at > clock.now() + rest ? null : failed.candidate
  }

  /** The plan as it was made, which is not checked again. */
  private planned(): Step | null {
    this.isNew = false
    return this.untried.length === 0 ? null : { candidates: this.untried, later: this.later, at: 0, free: true }
  }

  /** Sorts the untried targets into available and unavailable ones. Earlier attempts may have taken so long that this
   * has changed since the plan was made. */
  private refresh(): void {
    const now = this.deps.clock.now()
    const back = this.later.filter(
      candidate => this.isStillOffered(candidate) && isAvailable(this.state(candidate), now),
    )
    const open = [...this.untried.filter(candidate => this.isOpen(candidate)), ...back]
    this.later = [...this.later, ...this.untried].filter(candidate => !open.includes(candidate))
    this.untried = [...open.filter(({ fallback }) => !fallback), ...open.filter(({ fallback }) => fallback)]
  }

  /** Whether the server is still part of the fleet and not draining. Both are checked: a server that is removed loses
   * its state, and with it the mark that it is draining. */
  private isStillOffered(candidate: Candidate): boolean {
    return this.deps.isOffered(candidate.target) && !this.state(candidate).server.draining
  }

  /** Where the next attempt may go when the retry budget is used up: only to targets that are not failing. */
  nextFreeStep(): Step | null {
    const candidates = this.untried.filter(candidate => this.hasNoFailures(candidate))
    const later = this.later.filter(candidate => this.isStillOffered(candidate) && this.hasNoFailures(candidate))
    return candidates.length === 0 ? null : { candidates, later, at: 0, free: true }
  }

  /** Takes a target out of those that were not tried yet.
   *
   * @param started Whether its attempt has; otherwise its breaker has let nobody in, and it may be tried later. */
  markTried(candidate: Candidate, started: boolean): void {
    if (this.untried.includes(candidate)) this.untried = this.untried.filter(other => other !== candidate)
    else this.later = this.later.filter(other => other !== candidate)
    if (!started) this.later = [...this.later, candidate]
  }

  /** Where a hedge may go while an attempt runs: to healthy other servers of the models that were asked for. */
  hedgeCandidates({ target: { server } }: Candidate): readonly Candidate[] {
    return this.untried.filter(
      other =>
        other.fallback !== true &&
        other.doubted !== true &&
        other.target.server.id !== server.id &&
        this.state(other).breaker.openUntil === 0 &&
        this.isOpen(other),
    )
  }

  /** Puts a target first among those to try: its attempt was stopped before it could answer, or another of its
   * credentials may succeed. */
  putBack(candidate: Candidate): void {
    this.untried = [candidate, ...this.untried]
  }

  /** Never tries a target again. */
  exclude({ target }: Candidate): void {
    this.untried = this.untried.filter(other => other.target.id !== target.id)
    this.later = this.later.filter(other => other.target.id !== target.id)
    this.retries = this.retries?.filter(({ candidate }) => candidate.target.id !== target.id) ?? null
  }

  /** Decides whether a target that failed is tried again.
   *
   * @param error The failure; `null` when another credential may do better at once. */
  failed(candidate: Candidate, error: GatewayError | null): void {
    const before = this.retries?.find(retry => retry.candidate === candidate)
    this.retries = this.retries?.filter(retry => retry !== before) ?? null
    if (error === null) {
      this.putBack(candidate)
      return
    }
    this.cool(candidate, error)
    if (!ruleFor(error.code).again) return
    const { clock, random, retry } = this.deps
    const now = clock.now()
    const failures = (before?.failures ?? 0) + 1
    const wait = backoff(retry, failures, random())
    const at = now + Math.max(wait, error.retryAfterMs ?? 0)
    this.retries ??= []
    this.retries.push({ candidate, at, latest: now + Math.max(wait, retry.maxWaitMs), failures })
  }

  private cool(candidate: Candidate, error: GatewayError): void {
    const { clock, retry, journal } = this.deps
    const ms = cool(this.state(candidate), error, clock.now(), retry)
    if (ms !== null) journal.note({ type: 'target-limited', target: candidate.target.id, ms })
  }

  /** Leaves only fallback models that take a longer prompt than this one to be tried; returns whether there are any. */
  onlyLarger({ model }: Candidate): boolean {
    const known = model.capabilities.context_length
    return this.keepOnly(
      other => known !== null && other.fallback === true && (other.model.capabilities.context_length ?? 0) > known,
    )
  }

  /** Leaves only fallback models other than this one to be tried; returns whether there are any. */
  onlyFallbacks({ model }: Candidate): boolean {
    return this.keepOnly(other => other.fallback === true && other.model !== model)
  }

  /** Whether there is a fallback model other than this one. */
  hasFallback({ model }: Candidate): boolean {
    return this.untried.some(other => other.fallback === true && other.model !== model && this.isOpen(other))
  }

  private keepOnly(fits: (candidate: Candidate) => boolean): boolean {
    this.retries = null
    this.untried = this.untried.filter(fits)
    this.later = this.later.filter(fits)
    this.refresh()
    return this.untried.length > 0
  }

  private state({ target }: Candidate) {
    return this.deps.states.target(target)
  }

  private hasNoFailures(candidate: Candidate): boolean {
    return this.state(candidate).breaker.failures === 0
  }

  /** For how many milliseconds a target is left alone from now on; 0 or less when it is not. */
  restMs(candidate: Candidate): number {
    return this.state(candidate).coolUntil - this.deps.clock.now()
  }

  /** Whether a target may be tried now. */
  isOpen(candidate: Candidate): boolean {
    const state = this.state(candidate)
    const now = this.deps.clock.now()
    if (!this.isStillOffered(candidate) || state.coolUntil > now || state.refusedUntil > now) return false
    return candidate.doubted || breakerAdmits(state, now)
  }

  /** The retry that may start first. While fallback models are left, each target is retried once only, and the last
   * attempt is kept for a fallback.
   *
   * @param onlyRetries Whether nothing untried is left. */
  private soonestRetry(onlyRetries: boolean, left: number): Retry | null {
    if (this.retries === null || (!onlyRetries && left === 1)) return null
    const now = this.deps.clock.now()
    let found: Retry | null = null
    for (const retry of this.retries) {
      if (!onlyRetries && (retry.failures > 1 || retry.candidate.fallback)) continue
      const { candidate } = retry
      const state = this.state(candidate)
      if (!this.isStillOffered(candidate) || state.refusedUntil > now) continue
      if (!candidate.doubted && !breakerAdmits(state, now)) continue
      // Another call may have learned since that the target wants to be left alone for longer.
      const at = Math.max(retry.at, state.coolUntil)
      if (at > retry.latest || at >= this.scope.endsAt) continue
      if (found === null || at < found.at) found = { ...retry, at }
    }
    return found
  }
}
