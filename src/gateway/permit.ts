import type { Slots } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import type { Journal } from '#core/journal.ts'
import type { Bucket, Limiter, Verdict } from '#core/limiter.ts'
import type { RequestRecord } from '#core/record.ts'
import { type CallLimits, createAllowance } from './allowance.ts'
import { estimateNeed, type Lengths } from './estimate.ts'
import { limitRefusal } from './limits.ts'

export interface PermitDeps {
  readonly limiter: Limiter
  readonly journal: Journal
  readonly lengths: Lengths
  /** What a call takes from, beside what was taken before it was read; `null` where nothing is. */
  readonly limitsOf: (asking: {
    readonly caller: Caller
    readonly address: string
    readonly user: string | null
  }) => (CallLimits & { readonly user: readonly Bucket[] }) | null
}

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
  /** Gives back what is not used any more and corrects what was; may be called once the record is complete. */
  settle(): void
}

const NOTHING = { requests: 0, tokens: 0 }

/** Opens the permit of a call; `null` where nothing limits it that was not taken before it was read. */
export function openPermit(deps: PermitDeps, call: Call, record: RequestRecord): Permit | null {
  const { limiter, journal, lengths } = deps
  const limits = deps.limitsOf({ caller: call.caller, address: record.address, user: userOf(call) })
  if (limits === null) return null
  const owner = `${record.id}/user`
  let entered = false
  let over = false
  const allowance = createAllowance({
    limiter,
    limits,
    owner: record.id,
    estimate: (model, buckets) => (counts(buckets) ? estimateNeed(call, model, lengths, buckets) : 0),
    onDenied(model, bucket, { code }) {
      journal.note({ type: 'limit-hit', scope: bucket.scope })
      record.skipped = [...(record.skipped ?? []), { model: model.name, code }]
    },
  })

  function decide(verdict: Verdict): void {
    if (verdict.refused !== null) {
      journal.note({ type: 'limit-hit', scope: verdict.refused.scope })
      throw limitRefusal(verdict, verdict.refused)
    }
    if (over) limiter.settle(limits?.user ?? [], NOTHING, owner)
    else entered = true
  }

  return {
    enter() {
      if (limits.user.length === 0) return
      const verdict = limiter.take(limits.user, 0, owner)
      return verdict instanceof Promise ? verdict.then(decide) : decide(verdict)
    },
    slots: places => allowance.slots(places),
    verdict: () => allowance.verdict,
    settle() {
      over = true
      if (entered) limiter.settle(limits.user, NOTHING, owner)
      entered = false
      const { usage, model } = record
      allowance.settle(usage === null ? 0 : usage.input + usage.cacheRead + usage.cacheWrite + usage.output)
      if (usage !== null && model !== null) lengths.note(model, usage.output)
    },
  }
}

/** The end user that a call names, in the new field or the old one. */
function userOf({ body }: Call): string | null {
  const named = body.safety_identifier ?? body.user
  return typeof named === 'string' && named !== '' ? named : null
}

function counts(buckets: readonly Bucket[]): boolean {
  return buckets.some(({ unit }) => unit === 'tokens')
}
