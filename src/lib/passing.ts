/**
 * A set and a map for what comes and goes with every request.
 *
 * Not `Set` and `Map` themselves: in JavaScriptCore each table that one of them has outgrown points to its successor and
 * keeps what was in it when it was left. Once such a table is old, all that ever passes through survives every collection
 * but the full ones, with whatever it holds: nine of ten requests did, and were a seventh of a request's cost.
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

/** A map in the order of insertion. What is taken out leaves its key and an empty slot behind, and nothing of itself. */
export class PassingMap<T> {
  private readonly slots = new Map<string, { value: T | null }>()

  get size(): number {
    return this.slots.size
  }

  get(key: string): T | null {
    return this.slots.get(key)?.value ?? null
  }

  set(key: string, value: T): void {
    const slot = this.slots.get(key)
    if (slot === undefined) this.slots.set(key, { value })
    else slot.value = value
  }

  delete(key: string): void {
    const slot = this.slots.get(key)
    if (slot === undefined) return
    slot.value = null
    this.slots.delete(key)
  }

  *[Symbol.iterator](): Iterator<readonly [key: string, value: T]> {
    for (const [key, { value }] of this.slots) if (value !== null) yield [key, value]
  }
}
