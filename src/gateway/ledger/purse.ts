import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { mostAt } from '#core/cost.ts'
import { GatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import { type Account, type Hold, type HoldVerdict, OVER } from '#core/ledger.ts'
import { noteSkip, type RequestRecord } from '#core/record.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import type { Target } from '#core/servers.ts'
import type { Lengths } from '../limits/estimate.ts'
import { boundOf } from './bound.ts'

/** How long a hold outlives the longest time that its call may take, in milliseconds. */
const EXPIRY_GRACE_MS = 10_000

export interface PurseDeps {
  readonly clock: Clock
  readonly journal: Journal
  readonly lengths: Lengths
  readonly hold: (hold: Hold) => HoldVerdict | Promise<HoldVerdict>
  /** Called once, before the call goes out for the first time. */
  readonly opened: (record: RequestRecord, call: Call, candidate: Candidate) => void
}

/** The money of one call: holds it before the call goes out, until its row is written. */
export interface Purse {
  /** Gives only places at servers that the caller can pay. The hold grows when a dearer server is tried; a call with
   * too little money left goes on to a cheaper one. */
  slots(places: Slots): Slots
}

/** Opens the purse of a call.
 *
 * @param accounts The accounts that it spends from; empty where none has a budget. */
export function openPurse(deps: PurseDeps, call: Call, record: RequestRecord, accounts: readonly Account[]): Purse {
  return new CallPurse(deps, call, record, accounts)
}

/** A call that wants a place; see `Slots.take`. */
interface Wanted {
  readonly places: Slots
  readonly candidates: readonly Candidate[]
  readonly later: readonly Candidate[]
  readonly scope: Scope
}

/** A class, because one is made for each call, and closures would cost more. */
class CallPurse implements Purse {
  private readonly deps: PurseDeps
  private readonly call: Call
  private readonly record: RequestRecord
  private readonly accounts: readonly Account[]
  private readonly denied = new Set<Target>()
  private refused: Account | null = null
  private held = -1
  private isOpen = false

  constructor(deps: PurseDeps, call: Call, record: RequestRecord, accounts: readonly Account[]) {
    this.deps = deps
    this.call = call
    this.record = record
    this.accounts = accounts
  }

  slots(places: Slots): Slots {
    return {
      take: (candidates, scope, later = []) => this.place({ places, candidates, scope, later }),
      // This path cannot wait for a store, so it gives only places that the hold covers already.
      tryTake: candidates => places.tryTake(candidates.filter(candidate => this.needOf(candidate) <= this.held)),
    }
  }

  private place(wanted: Wanted): Slot | Promise<Slot> {
    const { places, scope } = wanted
    const [candidates, later] = [this.withoutDenied(wanted.candidates), this.withoutDenied(wanted.later)]
    if (candidates.length === 0 && this.refused !== null) throw this.refusal(this.refused)
    const slot = places.take(candidates, scope, later)
    const go = (taken: Slot) => this.pay(wanted, taken)
    return slot instanceof Promise ? slot.then(go) : go(slot)
  }

  private withoutDenied(candidates: readonly Candidate[]): readonly Candidate[] {
    return this.denied.size === 0 ? candidates : candidates.filter(({ target }) => !this.denied.has(target))
  }

  /** Sets aside what a call to the server of this place may cost. */
  private pay(wanted: Wanted, slot: Slot): Slot | Promise<Slot> {
    const { scope } = wanted
    const need = this.needOf(slot.candidate)
    // The caller that pays in place of one that has left is charged when the call is over.
    if (need <= this.held || this.record.passedOn) return this.open(slot)
    const { clock } = this.deps
    const verdict = this.deps.hold({
      request: this.record.id,
      accounts: this.accounts,
      nano: need - Math.max(0, this.held),
      expiresAt: Math.ceil(clock.time() + scope.endsAt - clock.now() + EXPIRY_GRACE_MS),
    })
    const follow = (decided: HoldVerdict) => {
      if (scope.ended !== null) {
        slot.release()
        if (decided.refused === null) this.letGo()
        throw scope.ended
      }
      if (this.record.passedOn) {
        if (decided.refused === null) this.letGo()
        return this.open(slot)
      }
      if (decided.refused === null) {
        this.held = need
        return this.open(slot)
      }
      slot.release()
      this.refused = decided.refused
      this.deny(slot.candidate)
      return this.place(wanted)
    }
    if (!(verdict instanceof Promise)) return follow(verdict)
    return abandonable(verdict, scope).then(follow, thrown => {
      slot.release()
      if (scope.ended !== null) this.letGoLater(verdict)
      throw thrown
    })
  }

  private deny({ target, model }: Candidate): void {
    this.denied.add(target)
    noteSkip(this.record, model.name, 'budget_exceeded')
  }

  private letGoLater(verdict: Promise<HoldVerdict>): void {
    verdict.then(
      ({ refused }) => {
        if (refused === null) this.letGo()
      },
      () => {},
    )
  }

  /** Gives the hold back, because no caller waits any more, and the row that would settle it may be written already. */
  private letGo(): void {
    const { record, accounts, deps } = this
    const verdict = deps.hold({ request: record.id, accounts, nano: 0, expiresAt: OVER })
    if (verdict instanceof Promise) verdict.catch(() => {})
  }

  private open(slot: Slot): Slot {
    // The row of a caller that has left may be written already, and would not settle a new hold.
    if (!this.isOpen && !this.record.passedOn) {
      this.isOpen = true
      this.deps.opened(this.record, this.call, slot.candidate)
    }
    return slot
  }

  /** The most that a call to a server may cost; 0 where the price is unknown or no account has a budget. */
  private needOf({ target, model }: Candidate): number {
    if (this.accounts.length === 0) return -1
    return mostAt(target, boundOf(this.call, model, this.deps.lengths)) ?? 0
  }

  private refusal({ id, cap, resetsAt, period }: Account): GatewayError {
    this.deps.journal.note({ type: 'limit-hit', scope: 'budget' })
    const whose = id.startsWith('key:') ? 'this key' : 'this tenant'
    const usd = cap / 1e9
    return new GatewayError(
      'budget_exceeded',
      `Too little is left of the ${usd} US dollars that ${whose} may spend in ${period}.`,
      { retryAfterMs: Math.max(1, resetsAt - this.deps.clock.time()), shouldRetry: false },
    )
  }
}
