import type { Clock } from '#core/clock.ts'
import type { LedgerStore } from '#core/ledger.ts'
import { periodOf } from '#core/money.ts'
import { watchWallClock } from '#core/steady.ts'
import type { Head, UpkeepStore } from '#core/upkeep.ts'

/** How often it is done, and how long a process that does it and dies is waited for; in milliseconds. */
const EVERY_MS = 30_000
const LEASE_MS = 90_000
const TRIM_EVERY_MS = 3_600_000
/** How long the wall clock must have gone on as it is before anything is removed by it, and what is no longer going on; in
 * milliseconds. A machine that starts with a clock that is years ahead is set right within minutes. */
const STEADY_MS = 600_000
/** How long after its end a budget may still be asked for, by requests and clocks that are late. */
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
  /** Writes what waits. */
  readonly flush: () => Promise<void>
}

/** Does now and then what one process has to do for all: gives back holds whose time is over, notes where the chains of
 * the audit log stand, and removes what is older than it has to be. What fails is done the next time.
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
    // Everybody may: what one gives back is gone for the others.
    await deps.ledger.expire(now)
    if (!(await deps.upkeep.lead(deps.owner, now, LEASE_MS))) return
    const heads = await deps.upkeep.heads()
    // Its own row moves one chain each time; that alone is no news.
    const others = JSON.stringify(heads.filter(({ chain }) => chain !== deps.owner))
    const own = heads.find(({ chain }) => chain === deps.owner)?.seq ?? 0
    const news = `${others} ${own}`
    if (heads.length > 0 && news !== told) {
      told = `${others} ${own + 1}`
      deps.checkpoint('heads', heads)
    }
    if (!isSteady || clock.now() - trimmedAt < TRIM_EVERY_MS) return
    // Workers that serve for a short time only take turns, and removing looks through all names of users.
    if (!(await deps.upkeep.isTrimDue(deps.owner, now, TRIM_EVERY_MS))) return
    trimmedAt = clock.now()
    await trim(now - deps.retentionMs(), periodOf(now - LATE_MS, 'month'))
  }

  async function trim(before: number, month: string): Promise<void> {
    const old = await deps.upkeep.heads(before)
    if (old.length > 0) {
      deps.checkpoint('trimmed', old)
      // Removed only once it is written that they are.
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
