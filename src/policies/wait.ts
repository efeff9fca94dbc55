import type { Clock } from '#core/clock.ts'
import type { Scope } from '#core/scope.ts'
import type { RetrySettings } from '#core/snapshot.ts'

/** A random wait of up to the base, doubled with each failure, so that callers that failed together do not come back
 * together.
 *
 * @param failures How often the target has failed this call, from 1.
 * @param chance From 0 up to but not including 1. */
export function backoff(settings: RetrySettings, failures: number, chance: number): number {
  return chance * Math.min(settings.backoffMaxMs, settings.backoffBaseMs * 2 ** (failures - 1))
}

/** Waits, but no longer than the scope lasts.
 *
 * @throws GatewayError why the scope ended. */
export function pause(clock: Clock, ms: number, scope: Scope): Promise<void> {
  return new Promise((resolve, reject) => {
    const disarm = clock.after(ms, () => {
      stop()
      resolve()
    })
    const stop = scope.onEnd(cause => {
      disarm()
      reject(cause)
    })
  })
}
