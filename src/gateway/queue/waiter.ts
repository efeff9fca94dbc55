import type { Candidate, Slot } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Places } from '#core/places.ts'
import type { Scope } from '#core/scope.ts'
import type { Target, TargetId } from '#core/servers.ts'
import { hasPlace, type States } from '#core/states.ts'
import type { Waiting } from './line.ts'

/** What the queue is built from. */
export interface QueueDeps {
  readonly states: States
  readonly clock: Clock
  /** Whether a target may be called now: its server is up, and neither its breaker nor a cooldown keeps calls away. */
  readonly available: (target: Target) => boolean
  /** Counts places together with other processes that call the same targets; absent or `null` = there are none. */
  readonly places?: Places | null
  /** Finds a target as it is configured now: `max_concurrent` may have changed during the wait (default: unchanged);
   * `undefined` when it is no part of the fleet any more. */
  readonly newest?: (target: Target) => Target | undefined
}

/** The call that wants a place. */
export interface Wait extends Waiting {
  /** How long it has waited already for the attempt that it wants to make, in milliseconds (default 0). */
  readonly waitedMs?: number
  /** Called once when the wait ends, served or not, with its length in milliseconds. */
  waited(ms: number): void
}

/** A call that waits in the queue. */
export interface Waiter extends Waiting {
  readonly candidates: readonly Candidate[]
  /** Candidates that were not available when the wait began, although the call was to go there, for want of better ones:
   * they are used as soon as they have a place. */
  readonly unavailableAtStart: ReadonlySet<Candidate>
  /** Candidates that are used only when they are back. */
  readonly later: readonly Candidate[]
  /** Those of them that could be called when the wait began, because they have only failed this call: others need not let
   * it go first there. */
  readonly failedOnly: ReadonlySet<Candidate>
  readonly scope: Scope
  /** The public name of the model; the length of the queue is bounded for each model. */
  readonly model: string
  readonly resolve: (slot: Slot) => void
  readonly reject: (error: GatewayError) => void
}

/** For how long a call waits for a place, in milliseconds. Targets that are out have no say in it as long as there are
 * others: where nobody is to wait for a full one, nobody has to because a fallback is down. */
export function patienceOf(open: readonly Candidate[], later: readonly Candidate[]): number {
  const decisive = open.length > 0 ? open : later
  return Math.max(0, ...decisive.map(({ target }) => target.timeouts.queue))
}

/** All candidates that a call waits for, in the order in which it prefers them: a target that is back comes before a
 * fallback. */
export function inOrder(open: readonly Candidate[], later: readonly Candidate[]): readonly Candidate[] {
  const all = [...open, ...later]
  return [...all.filter(({ fallback }) => !fallback), ...all.filter(({ fallback }) => fallback)]
}

type AvailabilityDeps = Pick<QueueDeps, 'states' | 'available' | 'places' | 'newest'>

/** Whether a waiting call could take a place at one of its candidates now.
 *
 * @param server The only server that is of interest; any one when absent. */
export function isUsable(
  { unavailableAtStart, later }: Waiter,
  candidate: Candidate,
  deps: AvailabilityDeps,
  server?: string,
): boolean {
  if (server !== undefined && candidate.target.server.id !== server) return false
  const { states, available, places, newest = itself } = deps
  const now = newest(candidate.target)
  const target = now ?? candidate.target
  // Shared places come last: where this process has none, the look itself asks for one.
  return (
    hasPlace(states, target) &&
    (unavailableAtStart.has(candidate) || available(target)) &&
    // With a server that was removed or has moved, it is forgotten that it was out.
    (now?.server.baseUrl === candidate.target.server.baseUrl || !later.includes(candidate)) &&
    (places?.has(target) ?? true)
  )
}

const itself = (target: Target) => target

/** Whether a waiting call could take a place that a new call is about to take. That happens when a target has become
 * available and the queue has not been checked since; the new call must then wait its turn.
 *
 * Each new call asks this of all waiting ones, so most of them are passed over by what is quick to see. */
export function isWantedByWaiter(
  waiting: Iterable<Waiter>,
  candidates: readonly Candidate[],
  deps: AvailabilityDeps,
): boolean {
  const { states, newest = itself } = deps
  const free = new Set<TargetId>()
  for (const { target } of candidates) if (hasPlace(states, newest(target) ?? target)) free.add(target.id)
  if (free.size === 0) return false
  for (const waiter of waiting) {
    for (const candidate of waiter.candidates) {
      if (!free.has(candidate.target.id) || waiter.failedOnly.has(candidate)) continue
      if (isUsable(waiter, candidate, deps)) return true
    }
  }
  return false
}
