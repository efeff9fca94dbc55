/**
 * A set and a map for what comes and goes with every request.
 *
 * Not `Set` and `Map` themselves: in JavaScriptCore each table that one of them has outgrown points to its successor and
 * keeps what was in it when it was left. Once such a table is old, all that ever passes through survives every collection
 * but the full ones, with whatever it holds: nine of ten requests did.
 */

/** Something that knows its place in the set that it is in. */
export interface Placed {
  /** Its index; belongs to the set. */
  place: number
}

/** A set in no particular order; each thing is in one of them at most. */
export class PassingSet<T extends Placed> implements Iterable<T> {
  private readonly items: T[] = []

  get size(): number {
    return this.items.length
  }

  /** Takes in what is in no set yet. */
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
/** A table no larger than this stays as it is when it empties: under load many requests begin and end together. */
const PLACES_KEPT = 8192
/** So much of the end of a key tells it from the others: ids and hashes are random there. */
const HASHED_CHARACTERS = 16

/** A map in no particular order, for keys of our own making: who could choose them could make it slow.
 *
 * An open table with linear probing, in which what goes leaves no mark behind: a `Map` through which every request goes
 * is built anew all the time. */
export class PassingMap<T> implements Iterable<readonly [key: string, value: T]> {
  /** Of the key at each place; 0 = nobody is there. */
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
    // Whoever could stand in the hole as well as where it does moves up, so that nobody is searched for past it.
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

  /** The place of a key, or the one that it would take. */
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

/** A number that is not 0. */
function hashOf(key: string): number {
  let hash = key.length
  for (let at = Math.max(0, key.length - HASHED_CHARACTERS); at < key.length; at++) {
    hash = (Math.imul(hash, 31) + key.charCodeAt(at)) | 0
  }
  return hash ^ (hash >>> 15) || 1
}
