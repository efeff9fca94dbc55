import type { Target } from '#core/servers.ts'

/** Unused places are kept for the next calls: as many as the most that were in use at once in this period and the one
 * before. The length of a period, in milliseconds. */
const KEEP_MS = 10_000

/** The places of this process at one target. */
export interface Holding {
  target: Target
  used: number
  /** How many it may use. Those above `used` are free for the next calls. */
  leased: number
  /** How many calls found no place since Redis was last asked. */
  lacking: number
  /** When the current period of `KEEP_MS` began, and the most places in use at once in it and in the one before. */
  since: number
  most: number
  mostBefore: number
}

/** Creates the holding of a target from which no call has taken a place yet. */
export function newHolding(target: Target, now: number): Holding {
  return { target, used: 0, leased: 0, lacking: 0, since: now, most: 0, mostBefore: 0 }
}

/** The most places in use at once in this period and the one before. */
export function mostOfLate(holding: Holding, now: number): number {
  if (now - holding.since >= KEEP_MS) {
    holding.mostBefore = holding.most
    holding.most = holding.used
    holding.since = now
  }
  return Math.max(holding.most, holding.mostBefore)
}
