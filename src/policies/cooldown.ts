import type { GatewayError } from '#core/errors.ts'
import type { RetrySettings } from '#core/snapshot.ts'
import type { TargetState } from '#core/states.ts'
import { isLimited } from './rules.ts'

/** How long a target that limits its callers is left alone when it does not say, and at most, in milliseconds. */
const COOL_MS = 1000
const COOL_MS_MAX = 60_000

/** Leaves a target alone that limits its callers, or that asks for more time than is waited for; that is no failure.
 *
 * @returns For how many milliseconds; `null` when it is not left alone for longer than it is anyway. */
export function cool(state: TargetState, error: GatewayError, now: number, retry: RetrySettings): number | null {
  const asked = error.retryAfterMs
  if (!isLimited(error) && (asked ?? 0) <= retry.maxWaitMs) return null
  const ms = Math.min(COOL_MS_MAX, asked ?? COOL_MS)
  return coolFor(state, ms, now) ? ms : null
}

/** Leaves a target alone for so long; whether that is longer than before. */
export function coolFor(state: TargetState, ms: number, now: number): boolean {
  const before = state.coolUntil
  state.coolUntil = Math.max(before, now + ms)
  return state.coolUntil > before
}
