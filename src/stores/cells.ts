/** A bucket's debt: the moment at which it is full again, in monotonic milliseconds. */
export interface Cell {
  fullAt: number
}

/** A bounded memory of buckets that are not full. */
export interface Cells {
  get(key: string): Cell | undefined
  /** Remembers a bucket that is full, never in place of one of those that the same decision holds. */
  add(key: string, now: number, held: readonly (Cell | undefined)[]): Cell
}

/** How many old cells are looked at to make room for a new one. */
const SWEEP = 16

/** Creates the memory. A full bucket needs no place in it. When it is full, a new key takes the place of a bucket that
 * is full again, else of the one among a few that is nearest to it: who has spent most is remembered longest. */
export function createCells(entriesMax: number): Cells {
  const cells = new Map<string, Cell>()
  let hand = cells.entries()

  function nextEntry(): [string, Cell] | undefined {
    const next = hand.next()
    if (!next.done) return next.value
    hand = cells.entries()
    return hand.next().value
  }

  function makeRoom(now: number, held: readonly (Cell | undefined)[]): void {
    let victim: string | null = null
    let least = Infinity
    for (let looked = 0; looked < SWEEP && least > now; looked++) {
      const entry = nextEntry()
      if (entry === undefined || entry[1].fullAt >= least || held.includes(entry[1])) continue
      victim = entry[0]
      least = entry[1].fullAt
    }
    if (victim !== null) cells.delete(victim)
  }

  return {
    get: key => cells.get(key),
    add(key, now, held) {
      if (cells.size >= entriesMax) makeRoom(now, held)
      const cell = { fullAt: now }
      cells.set(key, cell)
      return cell
    },
  }
}
