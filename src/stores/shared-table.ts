/** Where a key may stand: in one of so many entries in a row. Nothing is ever moved, and nothing marks what was removed. */
const WAYS = 32

/** A key of a table, as two numbers of 32 bits; never both 0. */
export interface SharedKey {
  readonly a: number
  readonly b: number
}

/** Finds entries by their key: two words an entry begin with it, 0 and 0 where it is free. */
export interface SharedIndex {
  /** The entry of a key; -1 when it has none. */
  find(key: SharedKey): number
  /** An entry for a new key: a free one, else the one whose `worth` is least; -1 when all of them are worth `Infinity`.
   * The key is written into it. */
  claim(key: SharedKey, worth: (entry: number) => number): number
}

/** Creates the index over the words of a table.
 *
 * @param entries How many; a power of two.
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
