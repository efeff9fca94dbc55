import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { isBounded, type Places } from '#core/places.ts'
import type { Target } from '#core/servers.ts'
import type { States, TargetState } from '#core/states.ts'

/** What a caller is told to wait when every place is taken and nothing better is known, in milliseconds. */
export const FULL_RETRY_MS = 1000

/** Who wants to know how places come and go. */
export interface SlotObserver {
  /** @returns The moment, which `freed` is told again. */
  taken(target: Target): number
  freed(target: Target, takenAt: number): void
}

/** Creates the places: a target takes no more calls at once than `max_concurrent` of it and of its server say. Where
 * none is free, the call is refused at once; the queue is what waits.
 *
 * @param places Where other processes call the same targets; `null` = this one is alone.
 * @param newest A target as it is configured now: the call may be older. */
export function createSlots(
  states: States,
  observer: SlotObserver | null = null,
  places: Pick<Places, 'take' | 'free'> | null = null,
  newest: (target: Target) => Target = target => target,
): Slots {
  function tryTake(candidates: readonly Candidate[]): Slot | null {
    for (const candidate of candidates) {
      const target = isBounded(candidate.target) ? newest(candidate.target) : candidate.target
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

/** A place that is held; a class, because one is made for each attempt. */
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

/** Whether a target could take one more call of this process now. */
export function hasPlace(states: States, target: Target): boolean {
  const state = states.target(target)
  if (target.maxConcurrent > 0 && state.inFlight >= target.maxConcurrent) return false
  return target.server.maxConcurrent === 0 || state.server.inFlight < target.server.maxConcurrent
}

/** How many calls these candidates take at once, all together; `Infinity` where one has no bound. */
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
