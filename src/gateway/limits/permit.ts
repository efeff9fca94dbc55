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
  /** The limits that need the body of a call, in addition to those at the edge; `null` when there are none. */
  readonly limitsOf: (asking: {
    readonly caller: Caller
    readonly address: string
    readonly user: string | null
  }) => Limits | null
}

type Limits = CallLimits & { readonly user: readonly Bucket[] }

/** What one call has taken from the limits that need its body: those of its end user, of tokens and of models. */
export interface Permit {
  /** Takes from the limits of the end user that the call names. It returns no promise if the limiter needs none.
   *
   * @throws GatewayError `rate_limit_exceeded`, `concurrency_limit_exceeded`. */
  enter(): void | Promise<void>
  /** The places at targets, but only at models whose limits admit the call. */
  slots(places: Slots): Slots
  /** The state of the limits when the call was admitted; `null` before. */
  verdict(): Verdict | null
  /** Gives back what is no longer used, and replaces estimates of tokens by what was used. Must be called when the
   * record is complete. If the answer goes on and another caller pays for it, what was taken from the limits of its
   * model stays taken. */
  settle(): void
  /** Gives back what stayed taken for an answer that went on: its work has ended. */
  end(): void
}

const NOTHING = { requests: 0, tokens: 0 }

/** Opens the permit of a call; `null` when only the limits at the edge apply, which is the usual case. */
export function openPermit(deps: PermitDeps, call: Call, record: RequestRecord): Permit | null {
  const limits = deps.limitsOf({ caller: call.caller, address: record.address, user: userOf(call) })
  return limits === null ? null : new CallPermit(deps, limits, call, record)
}

/** A class and no closures, because one is made for each limited call. */
class CallPermit implements Permit, AllowanceDeps {
  readonly limiter: Limiter
  readonly limits: Limits
  readonly owner: string
  private readonly deps: PermitDeps
  private readonly call: Call
  private readonly record: RequestRecord
  private readonly allowance: Allowance
  /** Whether a place of the end user's limits has to be given back. */
  private holdsUser = false
  private userVerdict: Verdict | null = null
  private over = false
  /** Whether tokens were estimated, so that the length of the answer is worth learning. */
  private estimated = false

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
    this.estimated = true
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
    return verdict instanceof Promise ? verdict.then(decided => this.decide(decided)) : this.decide(verdict)
  }

  private decide(verdict: Verdict): void {
    if (verdict.refused !== null) {
      this.deps.journal.note({ type: 'limit-hit', scope: verdict.refused.scope })
      throw limitRefusal(verdict, verdict.refused, { tokens: 0, waitMs: this.waitMs() })
    }
    this.holdsUser = true
    this.userVerdict = verdict
    noteNext(this.record, verdict, this.deps.clock.now())
    if (this.over) this.releaseUser()
  }

  private releaseUser(): void {
    if (this.holdsUser) this.limiter.settle(this.limits.user, NOTHING, `${this.owner}/user`)
    this.holdsUser = false
  }

  slots(places: Slots): Slots {
    return this.allowance.slots(places)
  }

  verdict(): Verdict | null {
    return tighter(this.allowance.verdict, this.userVerdict)
  }

  settle(): void {
    this.over = true
    this.releaseUser()
    if (this.record.passedOn) {
      this.allowance.passOn()
      return
    }
    const { usage, model, plan, heirOf } = this.record
    const used = usage === null ? 0 : inputTokens(usage) + usage.output
    const answered = plan === null ? null : findCandidate(plan, candidate => candidate.model.name === model)
    this.allowance.settle(used, answered?.model)
    if (heirOf !== null) this.inherit(used, answered?.model)
    if (this.estimated && usage !== null && model !== null) this.deps.lengths.note(model, usage.output)
  }

  end(): void {
    if (this.record.passedOn) this.allowance.settle(0)
  }

  /** Takes tokens for an answer that another request began and this one pays for. The other request has got everything
   * back, and nothing was taken for this one so far. */
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
