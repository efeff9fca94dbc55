import { findCandidate, type Slots } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import type { Bucket, Limiter, Verdict } from '#core/limiter.ts'
import { noteSkip, type RequestRecord } from '#core/record.ts'
import type { Model } from '#core/servers.ts'
import { inputTokens } from '#core/usage.ts'
import { type Allowance, type AllowanceDeps, type CallLimits, createAllowance } from './allowance.ts'
import { estimateNeed, type Lengths } from './estimate.ts'
import { limitRefusal, noteNext, tighter } from './limits.ts'

export interface PermitDeps {
  readonly clock: Clock
  readonly limiter: Limiter
  readonly journal: Journal
  readonly lengths: Lengths
  /** What a call takes from, beside what was taken before it was read; `null` where nothing is. */
  readonly limitsOf: (asking: {
    readonly caller: Caller
    readonly address: string
    readonly user: string | null
  }) => Limits | null
}

type Limits = CallLimits & { readonly user: readonly Bucket[] }

/** What limits one call once it is read. */
export interface Permit {
  /** Takes what is counted for the user whom the call names.
   *
   * @throws GatewayError `rate_limit_exceeded`, `concurrency_limit_exceeded`. */
  enter(): void | Promise<void>
  /** Places at models that are not limited. */
  slots(places: Slots): Slots
  /** How the limits stood when the call was let in; `null` before. */
  verdict(): Verdict | null
  /** Gives back what is not used any more and corrects what was; may be called once the record is complete. What models
   * gave to an answer that goes on at somebody else's cost stays taken. */
  settle(): void
  /** Gives that back too: the work is over. */
  end(): void
}

const NOTHING = { requests: 0, tokens: 0 }

/** Opens the permit of a call; `null` where nothing limits it that was not taken before it was read. */
export function openPermit(deps: PermitDeps, call: Call, record: RequestRecord): Permit | null {
  const limits = deps.limitsOf({ caller: call.caller, address: record.address, user: userOf(call) })
  return limits === null ? null : new CallPermit(deps, limits, call, record)
}

/** A class, because one is made for each call. */
class CallPermit implements Permit, AllowanceDeps {
  readonly limiter: Limiter
  readonly limits: Limits
  readonly owner: string
  private readonly deps: PermitDeps
  private readonly call: Call
  private readonly record: RequestRecord
  private readonly allowance: Allowance
  private entered = false
  private userVerdict: Verdict | null = null
  private over = false
  private counted = false

  constructor(deps: PermitDeps, limits: Limits, call: Call, record: RequestRecord) {
    this.limiter = deps.limiter
    this.limits = limits
    this.owner = record.id
    this.deps = deps
    this.call = call
    this.record = record
    this.allowance = createAllowance(this)
  }

  estimate(model: Model, buckets: readonly Bucket[]): number {
    if (!buckets.some(({ unit }) => unit === 'tokens')) return 0
    this.counted = true
    return estimateNeed(this.record.asked ?? this.call, model, this.deps.lengths, buckets)
  }

  waitMs(): number {
    return this.record.nextAt === 0 ? 0 : this.record.nextAt - this.deps.clock.now()
  }

  onDenied(model: Model, bucket: Bucket, { code }: GatewayError): void {
    this.deps.journal.note({ type: 'limit-hit', scope: bucket.scope })
    noteSkip(this.record, model.name, code)
  }

  enter(): void | Promise<void> {
    const { user } = this.limits
    if (user.length === 0) return
    const verdict = this.limiter.take(user, 0, `${this.owner}/user`)
    return verdict instanceof Promise ? verdict.then(decided => this.follow(decided)) : this.follow(verdict)
  }

  private follow(verdict: Verdict): void {
    if (verdict.refused !== null) {
      this.deps.journal.note({ type: 'limit-hit', scope: verdict.refused.scope })
      throw limitRefusal(verdict, verdict.refused, { tokens: 0, waitMs: this.waitMs() })
    }
    this.entered = true
    this.userVerdict = verdict
    noteNext(this.record, verdict, this.deps.clock.now())
    if (this.over) this.leave()
  }

  private leave(): void {
    if (this.entered) this.limiter.settle(this.limits.user, NOTHING, `${this.owner}/user`)
    this.entered = false
  }

  slots(places: Slots): Slots {
    return this.allowance.slots(places)
  }

  verdict(): Verdict | null {
    return tighter(this.allowance.verdict, this.userVerdict)
  }

  settle(): void {
    this.over = true
    this.leave()
    if (this.record.passedOn) {
      this.allowance.passOn()
      return
    }
    const { usage, model, plan, heirOf } = this.record
    const used = usage === null ? 0 : inputTokens(usage) + usage.output
    const answered = plan === null ? null : findCandidate(plan, candidate => candidate.model.name === model)
    this.allowance.settle(used, answered?.model)
    if (heirOf !== null) this.inherit(used, answered?.model)
    if (this.counted && usage !== null && model !== null) this.deps.lengths.note(model, usage.output)
  }

  end(): void {
    if (this.record.passedOn) this.allowance.settle(0)
  }

  /** Takes for another one's answer, for which nothing was taken before and whoever began it has got everything back. */
  private inherit(tokens: number, answered: Model | undefined): void {
    const own = answered === undefined ? [] : this.limits.model(answered)
    this.limiter.settle([...this.limits.tokens, ...own], { requests: 0, tokens }, this.owner)
  }
}

/** The end user that a call names, in the new field or the old one. */
export function userOf({ body }: Pick<Call, 'body'>): string | null {
  const named = body.safety_identifier ?? body.user
  return typeof named === 'string' && named !== '' ? named : null
}
