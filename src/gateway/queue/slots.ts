import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { isBounded, type Places } from '#core/places.ts'
import type { Target } from '#core/servers.ts'
import { hasPlace, type States, type TargetState } from '#core/states.ts'

/** The `retry-after` of `queue_full` when there is no estimate, in milliseconds. */
export const FULL_RETRY_MS = 1000

/** Is told when a place is taken and when it is freed. */
export interface SlotObserver {
  /** @returns Now, in monotonic milliseconds; `freed` gets it as `takenAt`. */
  taken(target: Target): number
  freed(target: Target, takenAt: number): void
}

/** Creates the places: no target gets more calls at once than its own and its server's `max_concurrent`. `take` never
 * waits: it throws `queue_full` when no place is free. Waiting is the queue's part.
 *
 * @param places Counts places together with other processes that call the same targets; `null` = there are none.
 * @param newest As in `QueueDeps`: a call may hold the target of an older configuration. */
export function createSlots(
  states: States,
  observer: SlotObserver | null = null,
  places: Pick<Places, 'take' | 'free'> | null = null,
  newest: (target: Target) => Target | undefined = target => target,
): Slots {
  function tryTake(candidates: readonly Candidate[]): Slot | null {
    for (const candidate of candidates) {
      const planned = candidate.target
      const target = (isBounded(planned) ? newest(planned) : planned) ?? planned
      if (!hasPlace(states, target)) continue
      const shared = places !== null && isBounded(target) ? places : null
      if (shared !== null && !shared.take(target)) continue
      return new HeldSlot(candidate, states.target(target), observer, shared)
    }
    return null
  }

  return {
    tryTake,
    take(candidates) {
      const slot = tryTake(candidates)
      if (slot !== null) return slot
      throw queueFull(FULL_RETRY_MS)
    },
  }
}

/** A place that is held. A class, because one is made for each attempt, and closures cost more. */
class HeldSlot implements Slot {
  readonly candidate: Candidate
  private readonly state: TargetState
  private readonly observer: SlotObserver | null
  private readonly places: Pick<Places, 'free'> | null
  private readonly takenAt: number
  private held = true

  constructor(
    candidate: Candidate,
    state: TargetState,
    observer: SlotObserver | null,
    places: Pick<Places, 'free'> | null,
  ) {
    this.candidate = candidate
    this.state = state
    this.observer = observer
    this.places = places
    state.inFlight++
    state.server.inFlight++
    this.takenAt = observer === null ? 0 : observer.taken(candidate.target)
    state.server.usedAt = this.takenAt
  }

  release(): void {
    if (!this.held) return
    this.held = false
    this.state.inFlight--
    this.state.server.inFlight--
    this.places?.free(this.candidate.target)
    this.observer?.freed(this.candidate.target, this.takenAt)
  }
}

/** How many calls these candidates take at once in total; `Infinity` if one of them is unbounded. */
export function countPlaces(candidates: readonly Candidate[]): number {
  const servers = new Map<string, number>()
  const seen = new Set<string>()
  for (const { target } of candidates) {
    if (seen.has(target.id)) continue
    seen.add(target.id)
    const bound = target.server.maxConcurrent || Infinity
    const before = servers.get(target.server.id) ?? 0
    servers.set(target.server.id, Math.min(bound, before + (target.maxConcurrent || Infinity)))
  }
  let places = 0
  for (const each of servers.values()) places += each
  return places
}

/** The refusal of a call that may not even wait. */
export function queueFull(retryAfterMs: number): GatewayError {
  return new GatewayError('queue_full', 'Every model server that could answer is busy; try again shortly.', {
    retryAfterMs,
  })
}

/** The refusal of a call that has waited in vain. */
export function queueTimeout(retryAfterMs: number): GatewayError {
  return new GatewayError('queue_timeout', 'No model server became free in time; try again later.', { retryAfterMs })
}
