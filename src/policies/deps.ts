import type { Slots } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Target } from '#core/servers.ts'
import type { RetrySettings } from '#core/snapshot.ts'
import type { States } from '#core/states.ts'
import type { Breakers } from './breaker.ts'
import type { RetryBudget } from './budget.ts'
import type { Credentials } from './credentials.ts'
import type { Hedges } from './hedge.ts'

/** What the attempts of all calls share. */
export interface FailoverDeps {
  readonly slots: Slots
  readonly states: States
  /** Whether a target is still part of the fleet. A call may be older than the last change of the fleet. */
  readonly isOffered: (target: Target) => boolean
  readonly clock: Clock
  readonly journal: Journal
  readonly breakers: Breakers
  readonly budget: RetryBudget
  readonly credentials: Credentials
  readonly hedges: Hedges
  /** From 0 up to but not including 1. */
  readonly random: () => number
  readonly retry: RetrySettings
  readonly maxAttempts: number
}
