import type { Clock } from './clock.ts'

/** By how much the wall clock has to be set for that to count, in milliseconds. */
const STEP_MS = 10_000

/** Watches whether the wall clock is set.
 *
 * @param knownMs For how long it has not been, as another process of this machine has seen.
 * @returns Looks at it, and says for how long it has not been set, in milliseconds. */
export function watchWallClock(clock: Pick<Clock, 'now' | 'time'>, knownMs = 0): () => number {
  let since = clock.now() - knownMs
  let offset = clock.time() - clock.now()
  return () => {
    const next = clock.time() - clock.now()
    if (Math.abs(next - offset) > STEP_MS) since = clock.now()
    offset = next
    return clock.now() - since
  }
}
