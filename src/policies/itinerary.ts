import type { Candidate, Plan } from '#core/attempt.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import { breakerAdmits, isAvailable } from '#core/states.ts'
import { cool } from './cooldown.ts'
import type { FailoverDeps } from './deps.ts'
import { ruleFor } from './rules.ts'
import { backoff } from './wait.ts'

/** Where the next attempt goes. */
export interface Step {
  /** In order; the first one with a free place is taken. */
  readonly candidates: readonly Candidate[]
  /** Monotonic milliseconds; 0 = at once. */
  readonly at: number
  /** Whether it needs no place in the retry budget, because it asks nothing more of what is failing. */
  readonly free: boolean
}

/** A target that may be tried again. */
interface Repeat {
  readonly candidate: Candidate
  readonly at: number
  /** How often it has failed this call. */
  readonly failures: number
}

type ItineraryDeps = Pick<FailoverDeps, 'states' | 'isOffered' | 'clock' | 'journal' | 'random' | 'retry'>

/** The way of one call through its candidates: other targets of the same model at once, then the same target again
 * after a wait, then fallback models, then whatever may be tried again. A class, because one is made for each call. */
export class Itinerary {
  private readonly deps: ItineraryDeps
  private readonly scope: Scope
  private untried: readonly Candidate[]
  /** Those of them that were out when they were last looked at. */
  private later: readonly Candidate[]
  private repeats: Repeat[] | null = null
  private rotated: Candidate | null = null

  constructor(deps: ItineraryDeps, { candidates, later = [] }: Pick<Plan, 'candidates' | 'later'>, scope: Scope) {
    this.deps = deps
    this.untried = candidates
    this.later = later
    this.scope = scope
  }

  /** @param left Attempts that may still be made, this one included. */
  next(left: number, first: boolean): Step | null {
    if (left <= 0) return null
    if (first) return this.untried.length === 0 ? null : { candidates: this.untried, at: 0, free: true }
    const { rotated } = this
    this.rotated = null
    if (rotated !== null && this.isKept(rotated)) return { candidates: [rotated], at: 0, free: true }
    this.look()
    const [fresh] = this.untried
    const repeat = fresh === undefined || fresh.fallback === true ? this.soonest(fresh === undefined, left) : null
    if (repeat !== null) return { candidates: [repeat.candidate], at: repeat.at, free: false }
    if (fresh === undefined) return null
    return { candidates: this.untried, at: 0, free: this.isWell(fresh) }
  }

  /** Sorts what was not tried yet into what may be tried now and what is out: an answer may take longer than that. */
  private look(): void {
    const now = this.deps.clock.now()
    const back = this.later.filter(candidate => this.isKept(candidate) && isAvailable(this.state(candidate), now))
    const open = [...this.untried.filter(candidate => this.isOpen(candidate)), ...back]
    this.later = [...this.later, ...this.untried].filter(candidate => !open.includes(candidate))
    this.untried = [...open.filter(({ fallback }) => !fallback), ...open.filter(({ fallback }) => fallback)]
  }

  /** Whether nobody has taken its server out since the call was planned: one that is removed is forgotten with its drain. */
  isKept(candidate: Candidate): boolean {
    return this.deps.isOffered(candidate.target) && !this.state(candidate).server.draining
  }

  /** Where the next attempt goes when the retry budget is used up: to targets that answer well. */
  nextFree(): Step | null {
    const candidates = this.untried.filter(candidate => this.isWell(candidate))
    return candidates.length === 0 ? null : { candidates, at: 0, free: true }
  }

  /** Takes a target out of those that were not tried yet. */
  leave(candidate: Candidate): void {
    if (this.untried.includes(candidate)) this.untried = this.untried.filter(other => other !== candidate)
  }

  /** Where a second attempt may be made beside one that is under way: at other servers of the models that were asked
   * for, of which nothing bad is known. */
  beside({ target: { server } }: Candidate): readonly Candidate[] {
    return this.untried.filter(
      other =>
        other.fallback !== true &&
        other.doubted !== true &&
        other.target.server.id !== server.id &&
        this.state(other).breaker.openUntil === 0 &&
        this.isOpen(other),
    )
  }

  /** Takes a target back that was not given the time to answer. */
  restore(candidate: Candidate): void {
    this.untried = [candidate, ...this.untried]
  }

  /** Never tries a target again. */
  exclude({ target }: Candidate): void {
    this.untried = this.untried.filter(other => other.target.id !== target.id)
    this.later = this.later.filter(other => other.target.id !== target.id)
    this.repeats = this.repeats?.filter(({ candidate }) => candidate.target.id !== target.id) ?? null
  }

  /** Decides whether a target that failed is tried again.
   *
   * @param error What that comes to; `null` when another credential may do better at once. */
  failed(candidate: Candidate, error: GatewayError | null): void {
    const before = this.repeats?.find(repeat => repeat.candidate === candidate)
    this.repeats = this.repeats?.filter(repeat => repeat !== before) ?? null
    if (error === null) {
      this.rotated = candidate
      return
    }
    this.cool(candidate, error)
    if (!ruleFor(error.code).again) return
    const failures = (before?.failures ?? 0) + 1
    const at = this.againAt(candidate, error, failures)
    if (at === null) return
    this.repeats ??= []
    this.repeats.push({ candidate, at, failures })
  }

  private cool(candidate: Candidate, error: GatewayError): void {
    const { clock, retry, journal } = this.deps
    const ms = cool(this.state(candidate), error, clock.now(), retry)
    if (ms !== null) journal.note({ type: 'target-limited', target: candidate.target.id, ms })
  }

  /** Goes on only with fallback models that take a longer prompt than this one; whether there are any. */
  onlyLarger({ model }: Candidate): boolean {
    const known = model.capabilities.context_length
    return this.only(
      other => known !== null && other.fallback === true && (other.model.capabilities.context_length ?? 0) > known,
    )
  }

  /** Goes on only with fallback models other than this one; whether there are any. */
  onlyFallbacks({ model }: Candidate): boolean {
    return this.only(other => other.fallback === true && other.model !== model)
  }

  /** Whether there is a fallback model other than this one. */
  hasFallback({ model }: Candidate): boolean {
    return this.untried.some(other => other.fallback === true && other.model !== model && this.isOpen(other))
  }

  private only(fits: (candidate: Candidate) => boolean): boolean {
    this.repeats = null
    this.rotated = null
    this.untried = this.untried.filter(fits)
    this.later = this.later.filter(fits)
    this.look()
    return this.untried.length > 0
  }

  private state({ target }: Candidate) {
    return this.deps.states.target(target)
  }

  private isWell(candidate: Candidate): boolean {
    return this.state(candidate).breaker.failures === 0
  }

  private isOpen(candidate: Candidate): boolean {
    const state = this.state(candidate)
    const now = this.deps.clock.now()
    if (!this.isKept(candidate) || state.coolUntil > now || state.refusedUntil > now) return false
    return candidate.doubted || breakerAdmits(state, now)
  }

  /** The target that may be tried again first. While fallback models are left, each target gets a second try only, and
   * the last attempt is the fallback's. */
  private soonest(onlyRepeats: boolean, left: number): Repeat | null {
    if (this.repeats === null || (!onlyRepeats && left === 1)) return null
    const now = this.deps.clock.now()
    let found: Repeat | null = null
    for (const repeat of this.repeats) {
      if (!onlyRepeats && (repeat.failures > 1 || repeat.candidate.fallback)) continue
      const { candidate } = repeat
      if (!this.isKept(candidate) || (!candidate.doubted && !breakerAdmits(this.state(candidate), now))) continue
      if (found === null || repeat.at < found.at) found = repeat
    }
    return found
  }

  /** When a target may be tried again; `null` when that is too late. */
  private againAt(candidate: Candidate, error: GatewayError, failures: number): number | null {
    const { clock, random, retry } = this.deps
    const now = clock.now()
    const asked = Math.max(error.retryAfterMs ?? 0, this.state(candidate).coolUntil - now)
    if (asked > retry.maxWaitMs) return null
    const at = now + Math.max(asked, backoff(retry, failures, random()))
    return at < this.scope.endsAt ? at : null
  }
}
