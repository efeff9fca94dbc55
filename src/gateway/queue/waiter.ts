import type { Candidate, Slot } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Places } from '#core/places.ts'
import type { Scope } from '#core/scope.ts'
import type { Target } from '#core/servers.ts'
import type { States } from '#core/states.ts'
import type { Waiting } from './line.ts'
import { hasPlace } from './slots.ts'

/** What the queue has to know of its deps. */
export interface QueueDeps {
  readonly states: States
  readonly clock: Clock
  /** Whether a target may be tried now. */
  readonly available: (target: Target) => boolean
  /** Where other processes call the same targets. */
  readonly places?: Places | null
  /** A target as it is configured now: who waits may do so since it had another bound (default: as it was). */
  readonly newest?: (target: Target) => Target
}

/** A call that stands in the queue. */
export interface Waiter extends Waiting {
  readonly candidates: readonly Candidate[]
  /** What was out of order when the wait began, and was to be tried all the same. */
  readonly unavailableAtStart: ReadonlySet<Candidate>
  readonly scope: Scope
  /** The model whose line is bounded. */
  readonly model: string
  readonly resolve: (slot: Slot) => void
  readonly reject: (error: GatewayError) => void
}

type AvailabilityDeps = Pick<QueueDeps, 'states' | 'available' | 'places' | 'newest'>

/** Whether somebody in the queue could have a place at one of its candidates now. */
export function isUsable({ unavailableAtStart }: Waiter, candidate: Candidate, deps: AvailabilityDeps): boolean {
  const { states, available, places, newest } = deps
  const target = newest?.(candidate.target) ?? candidate.target
  return (
    hasPlace(states, target) &&
    (places?.has(target) ?? true) &&
    (unavailableAtStart.has(candidate) || available(target))
  )
}

/** Whether somebody who waits could have a place that a newcomer is about to take: at a target that is just back. */
export function isWantedByWaiter(
  waiting: Iterable<Waiter>,
  candidates: readonly Candidate[],
  deps: AvailabilityDeps,
): boolean {
  for (const waiter of waiting) {
    for (const candidate of waiter.candidates) {
      if (!isUsable(waiter, candidate, deps)) continue
      if (candidates.some(({ target }) => target.id === candidate.target.id)) return true
    }
  }
  return false
}
