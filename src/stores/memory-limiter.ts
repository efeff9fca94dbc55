import type { Clock } from '#core/clock.ts'
import type { Bucket, Limiter, Verdict } from '#core/limiter.ts'

/** A bucket's debt: the moment at which it is full again, in monotonic milliseconds. */
interface Cell {
  fullAt: number
}

/** How many old cells are looked at to make room for a new one. */
const SWEEP = 16
/** Sums of intervals that are no whole milliseconds may be off by less than this, in milliseconds. */
const ROUNDING_MS = 1e-6

/** Creates a limiter in the memory of this process: the generic cell rate algorithm over a bounded map.
 *
 * A full bucket needs no memory. When the map is full, a new key takes the place of a bucket that is full again, else
 * of the one among a few that is nearest to it: who has spent most is remembered longest.
 *
 * @param options.entriesMax Buckets that are remembered at once. */
export function createMemoryLimiter(options: { readonly clock: Clock; readonly entriesMax: number }): Limiter {
  const { clock } = options
  const cells = createCells(options.entriesMax)
  const found: (Cell | undefined)[] = []

  function take(buckets: readonly Bucket[]): Verdict | null {
    if (buckets.length === 0) return null
    const now = clock.now()
    let denied = -1
    let wait = ROUNDING_MS
    found.length = 0
    for (const bucket of buckets) {
      const cell = cells.get(bucket.key)
      if (cell !== undefined) {
        const early = cell.fullAt - now - (bucket.burst - 1) * (60_000 / bucket.perMinute)
        if (early > wait) {
          denied = found.length
          wait = early
        }
      }
      found.push(cell)
    }
    const bucket = buckets[denied]
    if (bucket !== undefined) return refusal(bucket, wait, (found[denied]?.fullAt ?? now) - now)
    // Only what is admitted is remembered, so that refused floods cost no memory.
    for (let at = 0; at < buckets.length; at++) {
      found[at] ??= cells.add(buckets[at]?.key ?? '', now, found)
    }
    return admit(buckets, found, now)
  }

  return { take }
}

function createCells(entriesMax: number) {
  const cells = new Map<string, Cell>()
  let hand = cells.entries()

  function nextEntry(): [string, Cell] | undefined {
    const next = hand.next()
    if (!next.done) return next.value
    hand = cells.entries()
    return hand.next().value
  }

  function makeRoom(now: number, held: readonly (Cell | undefined)[]): void {
    let victim: string | null = null
    let least = Infinity
    for (let looked = 0; looked < SWEEP && least > now; looked++) {
      const entry = nextEntry()
      if (entry === undefined || entry[1].fullAt >= least || held.includes(entry[1])) continue
      victim = entry[0]
      least = entry[1].fullAt
    }
    if (victim !== null) cells.delete(victim)
  }

  return {
    get: (key: string) => cells.get(key),
    /** Remembers a bucket that is full, never in place of one of those that the same decision holds. */
    add(key: string, now: number, held: readonly (Cell | undefined)[]): Cell {
      if (cells.size >= entriesMax) makeRoom(now, held)
      const cell = { fullAt: now }
      cells.set(key, cell)
      return cell
    },
  }
}

function refusal(bucket: Bucket, wait: number, resetMs: number): Verdict {
  return {
    allowed: false,
    scope: bucket.scope,
    limit: bucket.perMinute,
    remaining: 0,
    retryAfterMs: Math.ceil(wait - ROUNDING_MS),
    resetMs: Math.ceil(resetMs - ROUNDING_MS),
  }
}

/** Takes one from each bucket and tells of the one with the least left; of equals, of the slower one. */
function admit(buckets: readonly Bucket[], cells: readonly (Cell | undefined)[], now: number): Verdict {
  let tightest: Bucket | null = null
  let remaining = Infinity
  let reset = 0
  let at = 0
  for (const bucket of buckets) {
    const cell = cells[at++]
    if (cell === undefined) continue
    const interval = 60_000 / bucket.perMinute
    const fullAt = Math.max(cell.fullAt, now) + interval
    cell.fullAt = fullAt
    const left = Math.max(0, Math.floor(bucket.burst - (fullAt - now - ROUNDING_MS) / interval))
    if (left < remaining || (left === remaining && fullAt - now > reset)) {
      tightest = bucket
      remaining = left
      reset = fullAt - now
    }
  }
  return {
    allowed: true,
    scope: tightest?.scope ?? '',
    limit: tightest?.perMinute ?? 0,
    remaining,
    retryAfterMs: remaining > 0 ? 0 : Math.ceil(waitOf(tightest, reset) - ROUNDING_MS),
    resetMs: Math.ceil(reset - ROUNDING_MS),
  }
}

/** Until a bucket that needs `reset` milliseconds to be full has one to give. */
function waitOf(bucket: Bucket | null, reset: number): number {
  return bucket === null ? 0 : Math.max(0, reset - (bucket.burst - 1) * (60_000 / bucket.perMinute))
}
