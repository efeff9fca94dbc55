import type { Target } from './servers.ts'

/** The places at targets that take only so many calls at once, where several processes send them: no more than
 * `max_concurrent` of the target and of its server say, over all of them. */
export interface Places {
  /** How long it may take to hear of a place that is free, in milliseconds; 0 = it is known at once. */
  readonly answersIn: number
  /** Whether there is one now. */
  has(target: Target): boolean
  /** Takes one; whether there was one. */
  take(target: Target): boolean
  free(target: Target): void
  /** Tells how many calls of this process wait for a place.
   *
   * @returns How many wait in the others. */
  waiting(own: number): number
}

/** Whether a target takes only so many calls at once. */
export function isBounded({ maxConcurrent, server }: Target): boolean {
  return maxConcurrent > 0 || server.maxConcurrent > 0
}
