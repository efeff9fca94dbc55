import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { States } from '#core/servers.ts'

/** What a caller is told to wait when every place is taken, in milliseconds. */
const FULL_RETRY_MS = 1000

/** Creates the places of this process: a target takes no more calls at once than `max_concurrent` of it and of its
 * server say. Where none is free, the call is refused at once. */
export function createSlots(states: States): Slots {
  function tryTake(candidates: readonly Candidate[]): Slot | null {
    for (const candidate of candidates) {
      const { target } = candidate
      const state = states.target(target)
      if (target.maxConcurrent > 0 && state.inFlight >= target.maxConcurrent) continue
      if (target.server.maxConcurrent > 0 && state.server.inFlight >= target.server.maxConcurrent) continue
      state.inFlight++
      state.server.inFlight++
      let held = true
      return {
        candidate,
        release() {
          if (!held) return
          held = false
          state.inFlight--
          state.server.inFlight--
        },
      }
    }
    return null
  }

  return {
    tryTake,
    take(candidates) {
      const slot = tryTake(candidates)
      if (slot !== null) return slot
      throw new GatewayError('queue_full', 'Every model server that could answer is busy; try again shortly.', {
        retryAfterMs: FULL_RETRY_MS,
      })
    },
  }
}
