import { createSharedIndex, type SharedKey } from './shared-table.ts'

/** Words of an entry behind its key: whose it is, 0 being everybody's, and how many. */
const PLACE = 2
const COUNT = 3
const STRIDE = 4

/** Counts what is under way, in all and of each process. To be used under the lock. */
export interface SharedCounts {
  /** How many there are in all. */
  of(key: SharedKey): number
  /** Adds one of this process. */
  add(key: SharedKey): void
  /** Takes away one of this process; nothing when it has none. */
  remove(key: SharedKey): void
  /** Takes away all of a process that has ended. */
  reclaim(place: number): void
}

/** Creates the counts for the process at a place.
 *
 * Each key has an entry for everybody and one for each process that has some of it, which is changed first: what a
 * process that is killed in between has changed is put right by `reclaim`, which sums up what is left. */
export function createSharedCounts(words: Int32Array, entries: number, place: number): SharedCounts {
  const index = createSharedIndex(words, entries, STRIDE)
  // What is in use is never given away.
  const worth = (entry: number) => (count(entry) === 0 ? 0 : Infinity)

  function count(entry: number): number {
    return words[entry * STRIDE + COUNT] ?? 0
  }

  function change(key: SharedKey, whose: number, by: number): void {
    const found = index.find(key)
    const entry = found < 0 && by > 0 ? index.claim(key, worth) : found
    // Where every entry at which a key may stand is in use, it is not counted, and nobody is refused.
    if (entry < 0) return
    words[entry * STRIDE + PLACE] = whose
    words[entry * STRIDE + COUNT] = Math.max(0, (found < 0 ? 0 : count(entry)) + by)
  }

  /** Where a process counts its own: the key of all, turned by its place, so that it is found again from either. */
  const ownKey = (key: SharedKey, whose: number): SharedKey => ({ a: key.a ^ whose, b: key.b })

  return {
    of(key) {
      const entry = index.find(key)
      return entry < 0 ? 0 : count(entry)
    },
    add(key) {
      change(ownKey(key, place), place, 1)
      change(key, 0, 1)
    },
    remove(key) {
      const own = index.find(ownKey(key, place))
      if (own < 0 || count(own) === 0) return
      change(ownKey(key, place), place, -1)
      change(key, 0, -1)
    },
    reclaim(gone) {
      for (let entry = 0; entry < entries; entry++) {
        const whose = words[entry * STRIDE + PLACE]
        if (whose === 0 || whose === gone) words[entry * STRIDE + COUNT] = 0
      }
      for (let entry = 0; entry < entries; entry++) {
        const whose = words[entry * STRIDE + PLACE] ?? 0
        if (whose === 0 || count(entry) === 0) continue
        const key = { a: Number(words[entry * STRIDE]), b: Number(words[entry * STRIDE + 1]) }
        change(ownKey(key, whose), 0, count(entry))
      }
    },
  }
}
