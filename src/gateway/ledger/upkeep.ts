import type { Clock } from '#core/clock.ts'
import type { LedgerStore } from '#core/ledger.ts'
import { periodOf } from '#core/money.ts'
import { watchWallClock } from '#core/steady.ts'
import type { Head, UpkeepStore } from '#core/upkeep.ts'

/** How often the upkeep is done, and after how long another process takes over from one that died; in milliseconds. */
const EVERY_MS = 30_000
const LEASE_MS = 90_000
const TRIM_EVERY_MS = 3_600_000
/** For how long the wall clock must not have been set before rows are removed by it, in milliseconds. A machine that
 * starts with a clock that is years ahead is corrected within minutes. */
const STEADY_MS = 600_000
/** How long after the end of its period a budget is kept for requests and clocks that are late, in milliseconds. */
const LATE_MS = 86_400_000

export interface UpkeepDeps {
  readonly clock: Clock
  readonly owner: string
  readonly upkeep: UpkeepStore
  readonly ledger: LedgerStore
  /** How long rows are kept, in milliseconds. */
  readonly retentionMs: () => number
  /** For how long the wall clock had not been set when this process began, in milliseconds. */
  readonly steadyMs: number
  /** Notes in the audit log where its chains stand, or up to where they are removed. */
  readonly checkpoint: (action: 'heads' | 'trimmed', heads: readonly Head[]) => void
  /** Writes the waiting rows to the database. */
  readonly flush: () => Promise<void>
}

/** Does regularly what one process does for all: gives back holds whose time is over, notes in the audit log where its
 * chains stand, and removes rows past their retention. What fails is tried again the next time.
 *
 * @returns A function that stops it. */
export function startUpkeep(deps: UpkeepDeps): () => void {
  const { clock } = deps
  let stopped = false
  let trimmedAt = Number.NEGATIVE_INFINITY
  const steadyMs = watchWallClock(clock, deps.steadyMs)
  let told = ''
  let disarm: () => void = () => {}

  async function round(): Promise<void> {
    const now = clock.time()
    const isSteady = steadyMs() >= STEADY_MS
    // Every process does this: a hold that one gives back is gone for the others.
    await deps.ledger.expire(now)
    if (!(await deps.upkeep.lead(deps.owner, now, LEASE_MS))) return
    const heads = await deps.upkeep.heads()
    // The row of this note itself moves one chain each time; that alone is no reason for another note.
    const others = JSON.stringify(heads.filter(({ chain }) => chain !== deps.owner))
    const own = heads.find(({ chain }) => chain === deps.owner)?.seq ?? 0
    const news = `${others} ${own}`
    if (heads.length > 0 && news !== told) {
      told = `${others} ${own + 1}`
      deps.checkpoint('heads', heads)
    }
    if (!isSteady || clock.now() - trimmedAt < TRIM_EVERY_MS) return
    // The store is asked too: of workers that live only briefly each would remove anew, and look through all names of
    // users.
    if (!(await deps.upkeep.isTrimDue(deps.owner, now, TRIM_EVERY_MS))) return
    trimmedAt = clock.now()
    await trim(now - deps.retentionMs(), periodOf(now - LATE_MS, 'month'))
  }

  async function trim(before: number, month: string): Promise<void> {
    const old = await deps.upkeep.heads(before)
    if (old.length > 0) {
      deps.checkpoint('trimmed', old)
      // The note of the removal must be written before the rows are removed.
      await deps.flush()
    }
    await deps.upkeep.trim(old, before, month)
  }

  function later(ms: number): void {
    if (stopped) return
    disarm = clock.after(ms, () => {
      round().then(
        () => later(EVERY_MS),
        () => later(EVERY_MS),
      )
    })
  }

  later(0)
  return () => {
    stopped = true
    disarm()
  }
}
