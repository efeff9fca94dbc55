import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import type { Scope } from '#core/scope.ts'

/** Hands out places for calls; `Regard` is what else it has to take into account, such as who waits or which limits
 * apply. */
export interface SlotSource<Regard> {
  /** As in `Slots`. */
  take(
    candidates: readonly Candidate[],
    scope: Scope,
    regard: Regard,
    later?: readonly Candidate[],
  ): Slot | Promise<Slot>
  tryTake(candidates: readonly Candidate[], regard: Regard): Slot | null
}

/** The places as one call sees them. A class, because one is made for each call. */
export class CallSlots<Regard> implements Slots {
  private readonly source: SlotSource<Regard>
  private readonly regard: Regard

  constructor(source: SlotSource<Regard>, regard: Regard) {
    this.source = source
    this.regard = regard
  }

  take(candidates: readonly Candidate[], scope: Scope, later?: readonly Candidate[]): Slot | Promise<Slot> {
    return this.source.take(candidates, scope, this.regard, later)
  }

  tryTake(candidates: readonly Candidate[]): Slot | null {
    return this.source.tryTake(candidates, this.regard)
  }
}
