import type { GatewayError } from '#core/errors.ts'
import type { RetrySettings } from '#core/snapshot.ts'
import type { TargetState } from '#core/states.ts'
import { isLimited } from './rules.ts'

/** How long a target that limits its callers gets no calls, if it does not say how long, and at most. In milliseconds.
 */
const COOL_MS = 1000
const COOL_MS_MAX = 60_000

/** Sends no calls for a while to a target that limits its callers or asks for a longer wait than is allowed. This does
 * not count as a failure.
 *
 * @returns For how many milliseconds; `null` when it already gets no calls for at least as long. */
export function cool(state: TargetState, error: GatewayError, now: number, retry: RetrySettings): number | null {
  const asked = error.retryAfterMs
  if (!isLimited(error) && (asked ?? 0) <= retry.maxWaitMs) return null
  const ms = Math.min(COOL_MS_MAX, asked ?? COOL_MS)
  return coolFor(state, ms, now) ? ms : null
}

/** Sends a target no calls for this time.
 *
 * @returns Whether that is longer than before. */
export function coolFor(state: TargetState, ms: number, now: number): boolean {
  const before = state.coolUntil
  state.coolUntil = Math.max(before, now + ms)
  return state.coolUntil > before
}
