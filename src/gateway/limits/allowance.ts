import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Bucket, Limiter, Verdict } from '#core/limiter.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import type { Model } from '#core/servers.ts'
import { CallSlots, type SlotSource } from '../call-slots.ts'
import { limitRefusal, tighter } from './limits.ts'

/** The limits that one call meets on its way to a server. */
export interface CallLimits {
  /** Tokens of everybody that it is counted for. */
  readonly tokens: readonly Bucket[]
  /** Everything that limits a model. */
  model(model: Model): readonly Bucket[]
}

export interface AllowanceDeps {
  readonly limiter: Limiter
  readonly limits: CallLimits
  /** The id of the request. */
  readonly owner: string
  /** How many tokens the call may need at most from a model, as far as can be told. */
  estimate(model: Model, buckets: readonly Bucket[]): number
  /** For how long the limits that let this call in would refuse the next one, in milliseconds. */
  waitMs(): number
  /** Told of each model that the call may not have. */
  onDenied(model: Model, bucket: Bucket, error: GatewayError): void
}

/** What one call holds of the limits, from before it is dialled until it is over. */
export interface Allowance {
  /** Places for this call: candidates whose model is limited are left out, and when none is left, the refusal with the
   * shortest wait is the answer. */
  slots(places: Slots): Slots
  /** Gives back what was not used, once; takes more when more was used.
   *
   * @param answered The model that used it, where that is known; else the one whose limits were taken last. */
  settle(tokensUsed: number, answered?: Model): void
  /** The work goes on at somebody else's cost: the caller's tokens are given back, those of the model stay taken until
   * `settle`. */
  passOn(): void
  /** How the limits stood when the call was let in; `null` before. */
  readonly verdict: Verdict | null
}

/** What was taken for one model. */
interface Hold {
  readonly model: Model
  readonly buckets: readonly Bucket[]
  readonly tokens: number
  readonly owner: string
}

/** Creates the allowance of a call. Tokens of the caller are taken once, with those of the first model that is let in;
 * when the call goes on to another model, that one's limits are taken and the first one's are given back. */
export function createAllowance(deps: AllowanceDeps): Allowance {
  return new CallAllowance(deps)
}

class CallAllowance implements Allowance, SlotSource<Slots> {
  verdict: Verdict | null = null
  private readonly deps: AllowanceDeps
  /** Models that the call may not have; made when there is one. */
  private denied: Map<Model, GatewayError> | null = null
  private callerHold: Pick<Hold, 'tokens' | 'owner'> | null = null
  private modelHold: Hold | null = null
  private takes = 0
  private passedOn = false
  private over = false

  constructor(deps: AllowanceDeps) {
    this.deps = deps
  }

  slots(places: Slots): Slots {
    return new CallSlots(this, places)
  }

  /** A place at once, so only at the model whose limits have let the call in already: to ask another one's may mean to wait
   * for a store. */
  tryTake(candidates: readonly Candidate[], places: Slots): Slot | null {
    return places.tryTake(candidates.filter(({ model }) => model === this.modelHold?.model))
  }

  settle(tokensUsed: number, answered?: Model): void {
    if (this.over) return
    this.over = true
    if (!this.passedOn) this.settleCaller(tokensUsed)
    const { limiter, limits, owner } = this.deps
    // After the answer broke off, its recovery may have taken from the limits of another model without getting an answer.
    const isOther = answered !== undefined && this.modelHold !== null && this.modelHold.model !== answered
    this.giveBack(isOther ? 0 : tokensUsed)
    if (isOther) limiter.settle(limits.model(answered), { requests: 0, tokens: tokensUsed }, owner)
  }

  passOn(): void {
    if (this.over || this.passedOn) return
    this.settleCaller(0)
    this.passedOn = true
  }

  private settleCaller(tokensUsed: number): void {
    if (this.callerHold === null) return
    const { tokens, owner } = this.callerHold
    this.deps.limiter.settle(this.deps.limits.tokens, { requests: 0, tokens: tokensUsed - tokens }, owner)
  }

  private giveBack(tokensUsed: number): void {
    const hold = this.modelHold
    this.modelHold = null
    if (hold === null || hold.buckets.length === 0) return
    this.deps.limiter.settle(hold.buckets, { requests: 0, tokens: tokensUsed - hold.tokens }, hold.owner)
  }

  /** A place at the first candidate whose model is not limited. */
  take(candidates: readonly Candidate[], scope: Scope, places: Slots): Slot | Promise<Slot> {
    const { denied } = this
    const open = denied === null ? candidates : candidates.filter(({ model }) => !denied.has(model))
    const [first] = open
    if (first === undefined) {
      const refusal = this.refusal(candidates)
      if (refusal !== undefined) throw refusal
      return places.take(candidates, scope)
    }
    const admitted = this.admit(first.model, scope)
    if (admitted === true) return this.placeAt(places, open, scope)
    if (admitted === false) return this.take(candidates, scope, places)
    return this.placeOnce(admitted, { places, candidates, open, scope })
  }

  private async placeOnce(
    admitted: Promise<boolean>,
    at: {
      readonly places: Slots
      readonly candidates: readonly Candidate[]
      readonly open: readonly Candidate[]
      readonly scope: Scope
    },
  ): Promise<Slot> {
    const isIn = await admitted
    return isIn ? this.placeAt(at.places, at.open, at.scope) : this.take(at.candidates, at.scope, at.places)
  }

  private placeAt(places: Slots, open: readonly Candidate[], scope: Scope): Slot | Promise<Slot> {
    const slot = places.take(open, scope)
    if (slot instanceof Promise) return this.checkModelOnce(slot, places, open, scope)
    return this.checkModel(slot, places, open, scope)
  }

  private async checkModelOnce(
    slot: Promise<Slot>,
    places: Slots,
    open: readonly Candidate[],
    scope: Scope,
  ): Promise<Slot> {
    return this.checkModel(await slot, places, open, scope)
  }

  private checkModel(slot: Slot, places: Slots, open: readonly Candidate[], scope: Scope): Slot | Promise<Slot> {
    return slot.candidate.model === this.modelHold?.model ? slot : this.switchModel(places, open, slot, scope)
  }

  /** Goes on where the place is at another model than the one whose limits have let the call in: that one's decide too. */
  private async switchModel(places: Slots, open: readonly Candidate[], slot: Slot, scope: Scope): Promise<Slot> {
    try {
      if (await this.admit(slot.candidate.model, scope)) return slot
    } catch (thrown) {
      slot.release()
      throw thrown
    }
    slot.release()
    return this.take(open, scope, places)
  }

  /** Takes from the limits of a model, and the first time from the caller's tokens with them.
   *
   * @returns Whether they let the call in. */
  private admit(model: Model, scope: Scope): boolean | Promise<boolean> {
    if (this.modelHold?.model === model) return true
    const { limiter, limits } = this.deps
    const own = limits.model(model)
    const withCaller = this.callerHold === null && !this.passedOn && limits.tokens.length > 0
    const buckets = withCaller ? [...limits.tokens, ...own] : own
    const tokens = this.deps.estimate(model, buckets)
    const hold: Hold = { model, buckets: own, tokens, owner: `${this.deps.owner}/${this.takes++}` }
    const verdict = limiter.take(buckets, tokens, hold.owner)
    if (!(verdict instanceof Promise)) return this.decide(verdict, hold)
    return abandonable(this.decideOnce(verdict, buckets, hold, scope), scope)
  }

  private async decideOnce(
    verdict: Promise<Verdict>,
    buckets: readonly Bucket[],
    hold: Hold,
    scope: Scope,
  ): Promise<boolean> {
    const isIn = this.decide(await verdict, hold)
    // The caller left while the store decided, and the answer goes on for others.
    if (isIn && this.passedOn && buckets !== hold.buckets) this.settleCaller(0)
    if (!this.over) return isIn
    // The call ended while the store decided: what it got it no longer needs.
    if (isIn) this.deps.limiter.settle(buckets, { requests: 0, tokens: -hold.tokens }, hold.owner)
    throw scope.ended ?? new Error('The call is over.')
  }

  private decide(verdict: Verdict, hold: Hold): boolean {
    if (this.over) return verdict.refused === null
    if (verdict.refused !== null) {
      const error = limitRefusal(verdict, verdict.refused, { tokens: hold.tokens, waitMs: this.deps.waitMs() })
      this.denied = (this.denied ?? new Map()).set(hold.model, error)
      this.deps.onDenied(hold.model, verdict.refused, error)
      return false
    }
    // The caller's own tokens are taken with the first model only.
    this.verdict = tighter(this.verdict, verdict)
    this.giveBack(0)
    this.callerHold ??= hold
    this.modelHold = hold
    return true
  }

  private refusal(candidates: readonly Candidate[]): GatewayError | undefined {
    const refusals = candidates.map(({ model }) => this.denied?.get(model)).filter(error => error !== undefined)
    return refusals.sort((a, b) => (a.retryAfterMs ?? Infinity) - (b.retryAfterMs ?? Infinity))[0]
  }
}
