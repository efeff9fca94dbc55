/** The state of one bucket of the generic cell rate algorithm: when it is full again, in monotonic milliseconds. */
export interface Cell {
  fullAt: number
}

/** A bounded map of the buckets that are not full. */
export interface Cells {
  get(key: string): Cell | undefined
  /** Adds a full bucket. If the map is full, an entry is evicted, but none of `held`: those the same decision uses. */
  add(key: string, now: number, held: readonly (Cell | undefined)[]): Cell
}

/** How many entries are compared to choose the one that is evicted. */
const SWEEP = 16

/** Creates the map. It evicts a bucket that is full again, which loses nothing, or else the one of a few that is nearest
 * to being full: the callers that have spent most are remembered longest. */
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
