import { PRIORITIES, type Priority, rankOf } from '#core/priority.ts'

/** Every eighth place goes to the priority of the call that has waited longest, so that low priorities do not starve. */
const AGE_EVERY = 8

/** What the line needs to know of a waiting call. */
export interface Waiting {
  readonly caller: string
  readonly priority: Priority
}

/** The order of the queue: higher priorities first, round robin over the callers within a priority, first come first
 * served within a caller.
 *
 * No call starves: one place in eight goes to the priority of the call that has waited longest, and between two turns of
 * a caller each other caller of that priority has at most one. */
export interface Line<W extends Waiting> extends Iterable<W> {
  readonly size: number
  add(waiter: W): void
  /** Removes a call that no longer waits.
   *
   * @returns Whether it was still in the line. */
  remove(waiter: W): boolean
  /** The next call in turn among those that fit; it stays in the line until `serve` or `remove`. */
  next(fits: (waiter: W) => boolean): W | null
  /** Removes a call that got its place and moves its caller behind the others. */
  serve(waiter: W): void
}

/** The waiting calls of one priority by caller. The order of a `Map` and `Set` is the order of turns. */
type Lane<W> = Map<string, Set<W>>

/** Creates an empty line. */
export function createLine<W extends Waiting>(): Line<W> {
  const byAge = new Set<W>()
  // In the order of `PRIORITIES`, so that the rank of a priority is the index of its lane.
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

/** Chooses the waiting call that is refused in favour of a new one when the line is full.
 *
 * It is the newest call of the caller that has most calls waiting in the lowest priority. It is evicted only if the new
 * call's priority is higher, or if that caller would still have at least as many calls waiting as the new call's caller.
 *
 * @returns `null` when the new call is to be refused instead. */
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
