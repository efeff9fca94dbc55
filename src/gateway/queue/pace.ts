import type { Candidate } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import { isBounded } from '#core/places.ts'
import type { Target } from '#core/servers.ts'
import type { States, TargetState } from '#core/states.ts'
import { countPlaces, FULL_RETRY_MS } from './slots.ts'

/** The weight of the newest call in the moving average of hold times. */
const NEWEST_WEIGHT = 0.2
/** The bounds of what `untilFree` answers. */
const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 600_000

/** Estimates how soon a place comes free, from how long calls have held theirs; callers get it as `retry-after`. */
export interface Pace {
  /** Notes that a place was taken.
   *
   * @returns Now, in monotonic milliseconds, to be given to `freed`. */
  taken(target: Target): number
  freed(target: Target, takenAt: number): void
  /** Estimates after how many milliseconds a place is free for a call with `ahead` calls before it: 100 ms to ten
   * minutes, and one second while nothing is known. */
  untilFree(candidates: readonly Candidate[], ahead: number): number
}

interface Observed {
  /** The moving average of how long a call holds its place; 0 = no call has ended yet. */
  heldMs: number
  /** When a place was last taken or freed, in monotonic milliseconds. */
  lastAt: number
}

/** Creates the estimate. It observes only targets with a `max_concurrent`, of their own or of their server.
 *
 * It measures how long calls hold a place, and divides that by the number of places. Counting the places freed per
 * second was rejected: after a quiet hour that number says nothing about a full queue. */
export function createPace(clock: Clock, states: Pick<States, 'target'>): Pace {
  const targets = new WeakMap<TargetState, Observed>()

  return {
    taken(target) {
      const now = clock.now()
      if (!isBounded(target)) return now
      const state = states.target(target)
      const observed = targets.get(state)
      if (observed === undefined) targets.set(state, { heldMs: 0, lastAt: now })
      else observed.lastAt = now
      return now
    },
    freed(target, takenAt) {
      const observed = isBounded(target) ? targets.get(states.target(target)) : undefined
      if (observed === undefined) return
      const now = clock.now()
      const held = now - takenAt
      observed.heldMs = observed.heldMs === 0 ? held : observed.heldMs + (held - observed.heldMs) * NEWEST_WEIGHT
      observed.lastAt = now
    },
    untilFree(candidates, ahead) {
      const observed = candidates.flatMap(({ target }) => targets.get(states.target(target)) ?? [])
      const held = observed.map(({ heldMs }) => heldMs).filter(heldMs => heldMs > 0)
      const mean = held.reduce((sum, each) => sum + each, 0) / held.length
      const wait = held.length === 0 ? FULL_RETRY_MS : ((ahead + 1) * mean) / countPlaces(candidates)
      // When no place was taken or freed for longer than the estimate, calls now take longer than the average says.
      const sinceLastChange =
        observed.length === 0 ? 0 : clock.now() - Math.max(...observed.map(({ lastAt }) => lastAt))
      return Math.ceil(Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, wait, sinceLastChange)))
    },
  }
}
