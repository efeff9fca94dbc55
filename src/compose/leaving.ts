import { GatewayError } from '#core/errors.ts'
import type { Active } from '#http/active.ts'
import type { Services } from '#http/services.ts'
import { type Log, STOPPING } from '#telemetry/log.ts'
import type { Gateway } from './gateway.ts'

/** The way of a gateway from serving to its end. */
export interface Leaving
  extends Pick<Gateway, 'drain' | 'leave' | 'idle' | 'abort'>,
    Pick<Services, 'serving' | 'staying'> {
  /** Says in the log that it has ended, if it was told to. */
  ended(): void
}

/** Creates the way out of a gateway that serves.
 *
 * @param options.isAlone Whether it is the only process; of several workers the supervisor says when they start and stop.
 * @param options.stopFleet Stops looking after the fleet. */
export function createLeaving(options: {
  readonly active: Active
  readonly log: Log
  readonly isAlone: boolean
  readonly stopFleet: () => void
}): Leaving {
  const { active, log, isAlone, stopFleet } = options
  let phase: 'serving' | 'leaving' | 'draining' = 'serving'

  return {
    serving: () => phase !== 'draining',
    staying: () => phase === 'serving',
    drain() {
      phase = 'draining'
      if (isAlone) log.info(STOPPING, { running: active.size })
    },
    leave() {
      if (phase === 'serving') phase = 'leaving'
      // The other processes probe the servers from now on, and tell this one what they find.
      stopFleet()
    },
    idle: active.idle,
    abort() {
      if (active.size > 0) log.warn('requests were ended before they were answered', { count: active.size })
      active.cancelAll(
        new GatewayError('server_shutting_down', 'The gateway is shutting down.', { retryAfterMs: 1000 }),
      )
    },
    ended() {
      if (isAlone && phase === 'draining') log.info('stopped')
    },
  }
}
