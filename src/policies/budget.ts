import type { Fact } from '#core/journal.ts'
import type { RetrySettings } from '#core/snapshot.ts'

/** Limits how many retries all calls together may have in progress, so that failing servers do not get ever more
 * requests. */
export interface RetryBudget {
  /** Takes a place for one retry, which also covers the wait before it.
   *
   * @returns Whether there was one. */
  take(): boolean
  /** Gives a place back. */
  release(): void
  /** The number of free places. */
  remaining(): number
  /** Counts the requests that are active. */
  subscriber(fact: Fact): void
}

/** Creates the budget: a share of the active requests, and never less than the minimum. */
export function createRetryBudget(settings: () => Pick<RetrySettings, 'budgetPercent' | 'budgetMin'>): RetryBudget {
  let active = 0
  let taken = 0

  function remaining(): number {
    const { budgetPercent, budgetMin } = settings()
    return Math.max(0, Math.max(budgetMin, Math.floor((active * budgetPercent) / 100)) - taken)
  }

  return {
    remaining,
    take() {
      if (remaining() === 0) return false
      taken++
      return true
    },
    release() {
      taken--
    },
    subscriber(fact) {
      if (fact.type === 'request-started') active++
      else if (fact.type === 'request-settled') active--
    },
  }
}
