import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Bucket, Limiter, Verdict } from '#core/limiter.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import type { Model } from '#core/servers.ts'
import { CallSlots, type SlotSource } from '../call-slots.ts'
import { limitRefusal, tighter } from './limits.ts'

/** The limits that apply to one call on its way to a server. */
export interface CallLimits {
  /** The token limits that do not depend on the model. */
  readonly tokens: readonly Bucket[]
  /** All limits of a model. */
  model(model: Model): readonly Bucket[]
}

export interface AllowanceDeps {
  readonly limiter: Limiter
  readonly limits: CallLimits
  /** The id of the request. */
  readonly owner: string
  /** The most tokens that the call may need from a model, as an estimate. */
  estimate(model: Model, buckets: readonly Bucket[]): number
  /** For how many milliseconds the limits that admitted this call would refuse the next one. */
  waitMs(): number
  /** Called for each model that the call may not use. */
  onDenied(model: Model, bucket: Bucket, error: GatewayError): void
}

/** What one call holds of the limits, from before it is sent to a server until it ends. */
export interface Allowance {
  /** The places for this call, without candidates whose model is limited. When no candidate is left, the refusal with
   * the shortest wait is thrown. */
  slots(places: Slots): Slots
  /** Gives back what was not used, or takes more if more was used. Only the first call has an effect.
   *
   * @param answered The model that was used, if it is known; else the one whose limits were taken last. */
  settle(tokensUsed: number, answered?: Model): void
  /** The work goes on, and another caller pays for it: the tokens of this caller are given back, those of the model
   * stay taken until `settle`. */
  passOn(): void
  /** The state of the limits when the call was admitted; `null` before. */
  readonly verdict: Verdict | null
}

/** What was taken for one model. */
interface Hold {
  readonly model: Model
  readonly buckets: readonly Bucket[]
  readonly tokens: number
  readonly owner: string
}

/** What a call wants: a place at one of the candidates that its limits leave, or `later` at one of the others. */
interface Wanted {
  readonly open: readonly Candidate[]
  readonly later: readonly Candidate[]
  readonly scope: Scope
  readonly places: Slots
}

/** Creates the allowance of a call. The tokens of the caller are taken once, together with those of the first model
 * that admits the call. When the call goes on to another model, the limits of that model are taken and those of the
 * first one are given back. */
export function createAllowance(deps: AllowanceDeps): Allowance {
  return new CallAllowance(deps)
}

class CallAllowance implements Allowance, SlotSource<Slots> {
  verdict: Verdict | null = null
  private readonly deps: AllowanceDeps
  /** The models that the call may not use; created when there is one. */
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

  /** Takes a place at once, and therefore only at the model whose limits have already admitted the call: asking the
   * limits of another one may mean waiting for a store. */
  tryTake(candidates: readonly Candidate[], places: Slots): Slot | null {
    return places.tryTake(candidates.filter(({ model }) => model === this.modelHold?.model))
  }

  settle(tokensUsed: number, answered?: Model): void {
    if (this.over) return
    this.over = true
    if (!this.passedOn) this.settleCaller(tokensUsed)
    const { limiter, limits, owner } = this.deps
    // After a break, the recovery may have taken from the limits of another model without getting an answer.
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

  /** Takes a place at the first candidate whose model is not limited. */
  take(
    candidates: readonly Candidate[],
    scope: Scope,
    places: Slots,
    later: readonly Candidate[] = [],
  ): Slot | Promise<Slot> {
    const wanted = { open: this.withoutDenied(candidates), later: this.withoutDenied(later), scope, places }
    const [first] = wanted.open
    if (first === undefined) {
      // With nothing left to wait for, the model of a server that has come back may be the only one that was refused.
      const refusal = this.refusal(wanted.later.length > 0 ? candidates : [...candidates, ...later])
      if (refusal !== undefined) throw refusal
      return this.placeAt(wanted)
    }
    const admitted = this.admit(first.model, scope)
    if (admitted === true) return this.placeAt(wanted)
    if (admitted === false) return this.take(candidates, scope, places, later)
    return admitted.then(isIn => (isIn ? this.placeAt(wanted) : this.take(candidates, scope, places, later)))
  }

  private withoutDenied(candidates: readonly Candidate[]): readonly Candidate[] {
    const { denied } = this
    return denied === null ? candidates : candidates.filter(({ model }) => !denied.has(model))
  }

  private placeAt(wanted: Wanted): Slot | Promise<Slot> {
    const slot = wanted.places.take(wanted.open, wanted.scope, wanted.later)
    return slot instanceof Promise ? slot.then(taken => this.checkModel(taken, wanted)) : this.checkModel(slot, wanted)
  }

  private checkModel(slot: Slot, wanted: Wanted): Slot | Promise<Slot> {
    return slot.candidate.model === this.modelHold?.model ? slot : this.switchModel(slot, wanted)
  }

  /** Continues when the place is at another model than the one whose limits have admitted the call: the limits of that
   * model have to admit it, too. */
  private async switchModel(slot: Slot, { open, later, scope, places }: Wanted): Promise<Slot> {
    try {
      if (await this.admit(slot.candidate.model, scope)) return slot
    } catch (thrown) {
      slot.release()
      throw thrown
    }
    slot.release()
    return this.take(open, scope, places, later)
  }

  /** Takes from the limits of a model, the first time together with the tokens of the caller.
   *
   * @returns Whether they admitted the call. */
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
    // The call ended while the store decided: it does not need what it got.
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
