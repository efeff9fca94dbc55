import type { Clock } from '#core/clock.ts'
import { createJournal, type Journal } from '#core/journal.ts'
import type { Settings } from '#core/snapshot.ts'
import type { States } from '#core/states.ts'
import { createSlots } from '#gateway/queue/slots.ts'
import { createBreakers } from '#policies/breaker.ts'
import { createRetryBudget } from '#policies/budget.ts'
import { createCredentials } from '#policies/credentials.ts'
import type { FailoverDeps } from '#policies/deps.ts'
import { createHedges } from '#policies/hedge.ts'
import { settings as usual } from './fleet.ts'

/** What a failover is made of; without chance given, every backoff is as short as it can be. */
export function policiesFor(
  states: States,
  clock: Clock,
  more: {
    readonly journal?: Journal
    readonly random?: () => number
    readonly retry?: Partial<Settings['retry']>
    readonly breaker?: Partial<Settings['breaker']>
    readonly maxAttempts?: number
  } = {},
): FailoverDeps {
  const { journal = createJournal([]), random = () => 0 } = more
  const retry = { ...usual.retry, ...more.retry }
  const breaker = { ...usual.breaker, ...more.breaker }
  return {
    slots: createSlots(states),
    states,
    isOffered: () => true,
    clock,
    journal,
    random,
    retry,
    maxAttempts: more.maxAttempts ?? usual.maxAttempts,
    budget: createRetryBudget(() => retry),
    hedges: createHedges(states),
    credentials: createCredentials({ states, clock, journal }),
    breakers: createBreakers({ states, clock, journal, random, settings: () => breaker }),
  }
}
