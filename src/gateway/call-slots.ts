import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import type { Scope } from '#core/scope.ts'

/** Hands out places with regard to one thing more: who waits, or what is limited. */
export interface SlotSource<Regard> {
  /** As `Slots` has it. */
  take(candidates: readonly Candidate[], scope: Scope, regard: Regard): Slot | Promise<Slot>
  tryTake(candidates: readonly Candidate[], regard: Regard): Slot | null
}

/** The places as one call sees them; a class, because one is made for each call. */
export class CallSlots<Regard> implements Slots {
  private readonly source: SlotSource<Regard>
  private readonly regard: Regard

  constructor(source: SlotSource<Regard>, regard: Regard) {
    this.source = source
    this.regard = regard
  }

  take(candidates: readonly Candidate[], scope: Scope): Slot | Promise<Slot> {
    return this.source.take(candidates, scope, this.regard)
  }

  tryTake(candidates: readonly Candidate[]): Slot | null {
    return this.source.tryTake(candidates, this.regard)
  }
}
