import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'

/** The first and the longest wait before a store that failed is tried again, in milliseconds. */
const RETRY_MIN_MS = 250
const RETRY_MAX_MS = 5000
/** How often at most the same reason is logged, in milliseconds: a store may be tried every few seconds for hours. */
const TELL_MS = 60_000

/** Decides when a store that failed is tried again, and what is logged of it. */
export interface Delay {
  /** The wait before the next try; 0 = the store has taken the last rows. */
  readonly waitMs: number
  failed(thrown: unknown, waiting: number): void
  over(): void
}

/** Creates the delay for a store that has not failed so far. */
export function createDelay(clock: Pick<Clock, 'now'>, journal: Journal): Delay {
  let waitMs = 0
  /** What was told last, also of an outage that is over: a store that fails now and then has many. */
  let told: { readonly reason: string; readonly at: number } | null = null
  let isTold = false
  return {
    get waitMs() {
      return waitMs
    },
    failed(thrown, waiting) {
      waitMs = Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, waitMs * 2))
      const reason = String(thrown)
      const now = clock.now()
      if (told !== null && told.reason === reason && now - told.at < TELL_MS) return
      told = { reason, at: now }
      isTold = true
      journal.note({ type: 'rows-delayed', reason, waiting })
    },
    over() {
      waitMs = 0
      if (!isTold) return
      isTold = false
      journal.note({ type: 'rows-taken-again' })
    },
  }
}
