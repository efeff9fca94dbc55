import type { Clock } from '#core/clock.ts'
import { type Bucket, changeOf, costOf, intervalOf, type Limiter, type Verdict } from '#core/limiter.ts'
import { type Cell, createCells } from './cells.ts'
import { createLeases, type Leases } from './leases.ts'
import { admission, refusalOf } from './verdict.ts'

export interface MemoryLimiterOptions {
  readonly clock: Pick<Clock, 'now'>
  /** How many buckets are remembered at most. */
  readonly entriesMax: number
  /** The calls that count for limits on concurrency now (default: a list of its own). */
  readonly leases?: Leases
}

/** A limiter in the memory of this process: it decides at once, and can be told how buckets stand elsewhere. */
export interface MemoryLimiter extends Limiter {
  take(buckets: readonly Bucket[], tokens: number, owner: string): Verdict
  /** The debt of each bucket: milliseconds until it is full, or for concurrency the number of leases. The array is
   * valid until the next call. */
  debts(buckets: readonly Bucket[]): number[]
  /** Sets the debt of a bucket, in milliseconds from `at`. */
  follow(bucket: Bucket, debt: number, at: number): void
}

/** Creates the limiter: the generic cell rate algorithm over a bounded map, and lists of leases. Only what is admitted
 * is remembered, so that refused floods cost no memory. */
export function createMemoryLimiter(options: MemoryLimiterOptions): MemoryLimiter {
  const { clock, leases = createLeases() } = options
  const cells = createCells(options.entriesMax)
  // Reused for every decision: decisions are synchronous, so two never overlap.
  const found: (Cell | undefined)[] = []
  const debts: number[] = []

  function stand(buckets: readonly Bucket[], now: number): void {
    found.length = 0
    debts.length = 0
    for (const { unit, key } of buckets) {
      const cell = unit === 'concurrent' ? undefined : cells.get(key)
      found.push(cell)
      if (unit === 'concurrent') debts.push(leases.count(key))
      else debts.push(cell === undefined ? 0 : Math.max(0, cell.fullAt - now))
    }
  }

  function settleCell(bucket: Bucket, change: number, now: number): void {
    const cell = cells.get(bucket.key) ?? (change > 0 ? cells.add(bucket.key, now, []) : undefined)
    if (cell !== undefined) cell.fullAt = Math.max(now, Math.max(now, cell.fullAt) + change * intervalOf(bucket))
  }

  return {
    debts(buckets) {
      stand(buckets, clock.now())
      return debts
    },
    take(buckets, tokens, owner) {
      const now = clock.now()
      stand(buckets, now)
      const refused = refusalOf(buckets, debts, tokens)
      if (refused !== null) return refused
      for (let at = 0; at < buckets.length; at++) {
        const bucket = buckets[at]
        if (bucket === undefined || bucket.unit === 'concurrent') continue
        const cell = found[at] ?? cells.add(bucket.key, now, found)
        found[at] = cell
        cell.fullAt = Math.max(cell.fullAt, now) + costOf(bucket, tokens) * intervalOf(bucket)
        debts[at] = cell.fullAt - now
      }
      leases.add(buckets, owner)
      return admission(buckets, debts, tokens)
    },
    settle(buckets, correction, owner) {
      leases.remove(buckets, owner)
      if (correction.requests === 0 && correction.tokens === 0) return
      for (const bucket of buckets) {
        const change = changeOf(bucket, correction)
        if (change !== 0) settleCell(bucket, change, clock.now())
      }
    },
    follow(bucket, debt, at) {
      const cell = cells.get(bucket.key) ?? cells.add(bucket.key, at, [])
      cell.fullAt = at + debt
    },
  }
}
