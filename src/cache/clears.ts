import { type CachedAnswer, type CacheSelection, isSelected } from '#core/cache.ts'

/** More are remembered as one that meant everything. */
const CLEARS_MAX = 100

/** What was to be forgotten, and when. An answer that was asked for before that is not to be kept after it: it says what
 * is not to be said again, too. */
export class Clears {
  private readonly latest = new Map<string, { readonly selection: CacheSelection; readonly at: number }>()

  /** @param at Monotonic milliseconds: by a wall clock that was ahead for a moment nothing would be kept any more. */
  note(selection: CacheSelection, at: number): void {
    const name = JSON.stringify(selection)
    if (this.latest.size < CLEARS_MAX || this.latest.has(name)) this.latest.set(name, { selection, at })
    else {
      this.latest.clear()
      this.latest.set('{}', { selection: {}, at })
    }
  }

  /** Whether an answer was meant by something that came after it was asked for, or in the same millisecond. */
  mean(answer: Pick<CachedAnswer, 'model' | 'tenant' | 'key'>, askedAt: number): boolean {
    for (const { selection, at } of this.latest.values()) {
      if (askedAt <= at && isSelected(answer, selection)) return true
    }
    return false
  }
}
