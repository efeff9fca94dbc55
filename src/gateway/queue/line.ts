import { PRIORITIES, type Priority, rankOf } from '#core/priority.ts'

/** Every so many places one goes to the priority of whoever has waited longest, so that none waits for ever. */
const AGE_EVERY = 8

/** What a line has to know of somebody who stands in it. */
export interface Waiting {
  readonly caller: string
  readonly priority: Priority
}

/** A line in which higher priorities come first, and within one the callers in turn.
 *
 * Nobody starves: one place in eight goes to the priority of the one that has waited longest, and within a priority a
 * caller's next turn comes after one turn of each other caller at most. */
export interface Line<W extends Waiting> extends Iterable<W> {
  readonly size: number
  add(waiter: W): void
  /** Takes somebody out who no longer waits; does nothing when it has left already. */
  remove(waiter: W): boolean
  /** Whose turn it is of those who fit; they stand there until they are served. */
  next(fits: (waiter: W) => boolean): W | null
  /** Takes out whose turn it was. */
  serve(waiter: W): void
}

type Lane<W> = Map<string, Set<W>>

/** Creates an empty line. */
export function createLine<W extends Waiting>(): Line<W> {
  const byAge = new Set<W>()
  // Best first. The callers of a lane stand in the order of their turns, the waiters of a caller as they came.
  const lanes: readonly Lane<W>[] = PRIORITIES.map(() => new Map())
  const bestFirst = lanes.toReversed()
  let turns = 0

  function laneOf(waiter: W): Lane<W> {
    return lanes[rankOf(waiter.priority)] ?? new Map()
  }

  function remove(waiter: W): boolean {
    if (!byAge.delete(waiter)) return false
    const lane = laneOf(waiter)
    const own = lane.get(waiter.caller)
    own?.delete(waiter)
    if (own?.size === 0) lane.delete(waiter.caller)
    return true
  }

  function lanesNow(fits: (waiter: W) => boolean): readonly Lane<W>[] {
    if ((turns + 1) % AGE_EVERY !== 0) return bestFirst
    for (const waiter of byAge) if (fits(waiter)) return [laneOf(waiter)]
    return []
  }

  return {
    get size() {
      return byAge.size
    },
    [Symbol.iterator]: () => byAge[Symbol.iterator](),
    add(waiter) {
      byAge.add(waiter)
      const lane = laneOf(waiter)
      const own = lane.get(waiter.caller)
      if (own === undefined) lane.set(waiter.caller, new Set([waiter]))
      else own.add(waiter)
    },
    remove,
    next(fits) {
      for (const lane of lanesNow(fits)) {
        const waiter = firstOf(lane, fits)
        if (waiter !== null) return waiter
      }
      return null
    },
    serve(waiter) {
      turns++
      remove(waiter)
      moveBack(laneOf(waiter), waiter.caller)
    },
  }
}

function firstOf<W>(lane: Lane<W>, fits: (waiter: W) => boolean): W | null {
  for (const own of lane.values()) for (const waiter of own) if (fits(waiter)) return waiter
  return null
}

/** Puts a caller behind the others of its lane. */
function moveBack<W>(lane: Lane<W>, caller: string): void {
  const own = lane.get(caller)
  if (own === undefined) return
  lane.delete(caller)
  lane.set(caller, own)
}

/** Who gives way to a newcomer when the line is as long as it may be: the last of the caller that has most in the
 * least priority, provided that it has more there than the newcomer would, or the newcomer's priority is higher. */
export function chooseEvicted<W extends Waiting>(waiting: Iterable<W>, newcomer: Waiting): W | null {
  let least = rankOf(newcomer.priority)
  let byCaller = new Map<string, W[]>()
  for (const waiter of waiting) {
    const rank = rankOf(waiter.priority)
    if (rank > least) continue
    if (rank < least) byCaller = new Map()
    least = rank
    const own = byCaller.get(waiter.caller)
    if (own === undefined) byCaller.set(waiter.caller, [waiter])
    else own.push(waiter)
  }
  let most: readonly W[] = []
  for (const own of byCaller.values()) if (own.length > most.length) most = own
  const own = byCaller.get(newcomer.caller)?.length ?? 0
  const outranked = least < rankOf(newcomer.priority)
  return outranked || most.length > own + 1 ? (most.at(-1) ?? null) : null
}
