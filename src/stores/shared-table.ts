/** A key may stand in this many entries, beginning with that of its hash. Entries are never moved, and a removed entry
 * leaves no mark. */
const WAYS = 32

/** A key of a table as two 32-bit hashes of its text; never both 0. */
export interface SharedKey {
  readonly a: number
  readonly b: number
}

/** Finds entries by their key. The first two words of an entry are its key; both are 0 in a free entry. */
export interface SharedIndex {
  /** The entry of a key; -1 when it has none. */
  find(key: SharedKey): number
  /** Writes a new key into a free entry, or else into the one with the least `worth`, whose key is evicted.
   *
   * @returns The entry; -1 when every one of them is worth `Infinity`. */
  claim(key: SharedKey, worth: (entry: number) => number): number
}

/** Creates the index over the words of a table.
 *
 * @param entries The number of entries, a power of two.
 * @param stride Words from one entry to the next. */
export function createSharedIndex(words: Int32Array, entries: number, stride: number): SharedIndex {
  const mask = entries - 1

  return {
    find({ a, b }) {
      for (let way = 0; way < WAYS; way++) {
        const entry = (a + way) & mask
        if (words[entry * stride] === a && words[entry * stride + 1] === b) return entry
      }
      return -1
    },
    claim({ a, b }, worth) {
      let found = -1
      let least = Infinity
      for (let way = 0; way < WAYS && least > -Infinity; way++) {
        const entry = (a + way) & mask
        const isFree = words[entry * stride] === 0 && words[entry * stride + 1] === 0
        const value = isFree ? -Infinity : worth(entry)
        if (value >= least) continue
        found = entry
        least = value
      }
      if (found < 0) return -1
      words[found * stride] = a
      words[found * stride + 1] = b
      return found
    },
  }
}
