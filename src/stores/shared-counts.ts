import { createSharedIndex, type SharedKey } from './shared-table.ts'

/** The words of an entry after its two words of key: the place number of a process (0 = the total), and the count. */
const PLACE = 2
const COUNT = 3
const STRIDE = 4

/** Counts of calls in flight and of leases, in total and for each process. To be used while holding the lock. */
export interface SharedCounts {
  /** The total over all processes. */
  of(key: SharedKey): number
  /** Adds one to the count of this process. */
  add(key: SharedKey): void
  /** Takes one from the count of this process; does nothing when it is 0. */
  remove(key: SharedKey): void
  /** Removes the counts of a process that has ended. */
  reclaim(place: number): void
}

/** Creates the counts for the process with this place number.
 *
 * Each key has an entry for the total and one for each process with a count. The entry of the process is changed first. If
 * the process is killed between the two changes, `reclaim` computes the totals anew from the entries of the others. */
export function createSharedCounts(words: Int32Array, entries: number, place: number): SharedCounts {
  const index = createSharedIndex(words, entries, STRIDE)
  // An entry with a count is never evicted.
  const worth = (entry: number) => (count(entry) === 0 ? 0 : Infinity)

  function count(entry: number): number {
    return words[entry * STRIDE + COUNT] ?? 0
  }

  function change(key: SharedKey, whose: number, by: number): void {
    const found = index.find(key)
    const entry = found < 0 && by > 0 ? index.claim(key, worth) : found
    // When all possible entries of a key are in use, it is not counted: rather exceed a limit than refuse calls.
    if (entry < 0) return
    words[entry * STRIDE + PLACE] = whose
    words[entry * STRIDE + COUNT] = Math.max(0, (found < 0 ? 0 : count(entry)) + by)
  }

  /** The key of a process's own count: the key of the total XOR the place number, which can be reversed. */
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
