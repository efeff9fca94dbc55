import type { Candidate } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import { isBounded } from '#core/places.ts'
import type { Target } from '#core/servers.ts'
import type { States, TargetState } from '#core/states.ts'
import { countPlaces, FULL_RETRY_MS } from './slots.ts'

/** The share of the newest call in the mean. */
const NEWEST_WEIGHT = 0.2
const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 600_000

/** Knows how soon places come free, from how long calls have held theirs. */
export interface Pace {
  /** @returns The moment. */
  taken(target: Target): number
  freed(target: Target, takenAt: number): void
  /** Milliseconds until a place is likely free for who has this many before it. */
  untilFree(candidates: readonly Candidate[], ahead: number): number
}

interface Observed {
  /** The mean time that a call holds its place; 0 = none was over yet. */
  heldMs: number
  /** When a place was last taken or freed. */
  lastAt: number
}

/** Creates the observation of the targets that have a bound.
 *
 * Counting what comes free a second would go wrong after a quiet hour; how long calls hold their places, divided by
 * the places, is the pace of a full house whenever it was measured. */
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
      // Where nothing has moved for a while, the next place is no nearer than that: calls take longer than they did.
      const sinceLastChange =
        observed.length === 0 ? 0 : clock.now() - Math.max(...observed.map(({ lastAt }) => lastAt))
      return Math.ceil(Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, wait, sinceLastChange)))
    },
  }
}
