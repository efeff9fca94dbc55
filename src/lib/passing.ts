/** A set and a map for entries that are added and removed with every request.
 *
 * `Set` and `Map` themselves would keep memory: in JavaScriptCore, a table that has been replaced by a larger one
 * points to its successor, and keeps its old entries. Once such a table is old, every entry that passes through
 * survives all garbage collections but the full ones, together with everything it refers to. Nine of ten requests did.
 */

/** An entry that knows its index in the set that it is in. */
export interface Placed {
  /** Its index; only the set may change it. */
  place: number
}

/** A set without a defined order; an entry is in at most one such set. */
export class PassingSet<T extends Placed> implements Iterable<T> {
  private readonly items: T[] = []

  get size(): number {
    return this.items.length
  }

  /** Adds an entry that is in no set. */
  add(item: T): void {
    item.place = this.items.push(item) - 1
  }

  delete(item: T): void {
    if (this.items[item.place] !== item) return
    const last = this.items.pop()
    if (last === undefined || last === item) return
    this.items[item.place] = last
    last.place = item.place
  }

  [Symbol.iterator](): Iterator<T> {
    return this.items[Symbol.iterator]()
  }
}

const PLACES_MIN = 64
/** A table of up to this many places does not shrink when it empties: under load many requests begin and end together.
 */
const PLACES_KEPT = 8192
/** How many characters at the end of a key are hashed: ids and hashes are random there. */
const HASHED_CHARACTERS = 16

/** A map without a defined order, for keys that the gateway generates: somebody who chose the keys could make it slow.
 *
 * An open-addressing table with linear probing, which needs no marks for deleted entries. A `Map` through which every
 * request passes is rebuilt all the time. */
export class PassingMap<T> implements Iterable<readonly [key: string, value: T]> {
  /** The hash of the key at each place; 0 = the place is free. */
  private hashes = new Int32Array(PLACES_MIN)
  private keys: (string | null)[] = nulls(PLACES_MIN)
  private values: (T | null)[] = nulls(PLACES_MIN)
  private count = 0

  get size(): number {
    return this.count
  }

  get(key: string): T | null {
    return this.values[this.find(key, hashOf(key))] ?? null
  }

  set(key: string, value: T): void {
    if (this.count * 2 >= this.hashes.length) this.resize(this.hashes.length * 2)
    const hash = hashOf(key)
    const at = this.find(key, hash)
    if (this.hashes[at] === 0) this.count++
    this.put(at, hash, key, value)
  }

  delete(key: string): void {
    let hole = this.find(key, hashOf(key))
    if (this.hashes[hole] === 0) return
    const last = this.hashes.length - 1
    // Entries behind the hole that could also stand in it move up, so that no search ends too early.
    for (let at = (hole + 1) & last; this.hashes[at] !== 0; at = (at + 1) & last) {
      const hash = this.hashes[at] ?? 0
      if (((at - hash) & last) < ((at - hole) & last)) continue
      this.put(hole, hash, this.keys[at] ?? null, this.values[at] ?? null)
      hole = at
    }
    this.put(hole, 0, null, null)
    this.count--
    if (last >= PLACES_KEPT && this.count * 16 < last) this.resize(this.hashes.length / 2)
  }

  *[Symbol.iterator](): Iterator<readonly [key: string, value: T]> {
    const { keys, values } = this
    for (let at = 0; at < keys.length; at++) {
      const [key, value] = [keys[at] ?? null, values[at] ?? null]
      if (key !== null && value !== null) yield [key, value]
    }
  }

  /** The place of a key, or the place where it would be put. */
  private find(key: string, hash: number): number {
    const { hashes, keys } = this
    const last = hashes.length - 1
    let at = hash & last
    while (hashes[at] !== 0 && (hashes[at] !== hash || keys[at] !== key)) at = (at + 1) & last
    return at
  }

  private put(at: number, hash: number, key: string | null, value: T | null): void {
    this.hashes[at] = hash
    this.keys[at] = key
    this.values[at] = value
  }

  private resize(places: number): void {
    const all = [...this]
    this.hashes = new Int32Array(places)
    this.keys = nulls(places)
    this.values = nulls(places)
    for (const [key, value] of all) {
      const hash = hashOf(key)
      this.put(this.find(key, hash), hash, key, value)
    }
  }
}

function nulls(count: number): null[] {
  return Array.from({ length: count }, () => null)
}

/** A hash of the end of the key; never 0. */
function hashOf(key: string): number {
  let hash = key.length
  for (let at = Math.max(0, key.length - HASHED_CHARACTERS); at < key.length; at++) {
    hash = (Math.imul(hash, 31) + key.charCodeAt(at)) | 0
  }
  return hash ^ (hash >>> 15) || 1
}
