import type { Clock } from '#core/clock.ts'
import {
  type Bucket,
  type Correction,
  changeOf,
  costOf,
  intervalOf,
  type Limiter,
  type Verdict,
} from '#core/limiter.ts'
import { createLeases } from './leases.ts'
import type { SharedMemory } from './shared.ts'
import type { SharedKey } from './shared-table.ts'
import { admission, refusalOf } from './verdict.ts'

/** A limiter that the processes of one machine share. Its decisions are synchronous. */
interface SharedLimiter extends Limiter {
  take(buckets: readonly Bucket[], tokens: number, owner: string): Verdict
}

/** Creates the limiter: the generic cell rate algorithm over shared memory, with one lock for all buckets of a decision.
 * Which request holds which lease is known to its own process only; the counts of leases are shared.
 *
 * @param clock Must tell the same time in all processes: see `machine-time.ts`. */
export function createSharedLimiter(memory: SharedMemory, clock: Pick<Clock, 'now'>): SharedLimiter {
  const { cells, counts } = memory
  const leases = createLeases()
  const keys = new WeakMap<Bucket, SharedKey>()
  // Reused by every decision, so that none allocates; decisions are synchronous and never overlap.
  const found: number[] = []
  const debts: number[] = []

  function keyOf(bucket: Bucket): SharedKey {
    let key = keys.get(bucket)
    if (key === undefined) {
      key = memory.keyOf(bucket.key)
      keys.set(bucket, key)
    }
    return key
  }

  const fullAt = (cell: number) => cells.fullAt[cell * cells.stride] ?? 0
  const setFullAt = (cell: number, time: number) => {
    cells.fullAt[cell * cells.stride] = time
  }
  /** Evict the bucket that is full again first, and never one of the current decision. */
  const worth = (cell: number) => (found.includes(cell) ? Infinity : fullAt(cell))

  function open(bucket: Bucket, now: number): number {
    const cell = cells.index.claim(keyOf(bucket), worth)
    if (cell >= 0) setFullAt(cell, now)
    return cell
  }

  function stand(buckets: readonly Bucket[], now: number): void {
    found.length = 0
    debts.length = 0
    for (const bucket of buckets) {
      const cell = bucket.unit === 'concurrent' ? -1 : cells.index.find(keyOf(bucket))
      found.push(cell)
      if (bucket.unit === 'concurrent') debts.push(counts.of(keyOf(bucket)))
      else debts.push(cell < 0 ? 0 : Math.max(0, fullAt(cell) - now))
    }
  }

  function takeAll(buckets: readonly Bucket[], tokens: number, owner: string, now: number): void {
    for (let at = 0; at < buckets.length; at++) {
      const bucket = buckets[at]
      if (bucket === undefined || bucket.unit === 'concurrent') continue
      const known = found[at] ?? -1
      const cell = known < 0 ? open(bucket, now) : known
      found[at] = cell
      const full = Math.max(cell < 0 ? now : fullAt(cell), now) + costOf(bucket, tokens) * intervalOf(bucket)
      if (cell >= 0) setFullAt(cell, full)
      debts[at] = full - now
    }
    for (const bucket of leases.add(buckets, owner)) if (bucket.unit === 'concurrent') counts.add(keyOf(bucket))
  }

  function settleCell(bucket: Bucket, change: number, now: number): void {
    found.length = 0
    const known = cells.index.find(keyOf(bucket))
    const cell = known < 0 && change > 0 ? open(bucket, now) : known
    if (cell >= 0) setFullAt(cell, Math.max(now, Math.max(now, fullAt(cell)) + change * intervalOf(bucket)))
  }

  function settleAll(buckets: readonly Bucket[], correction: Correction, owner: string, now: number): void {
    for (const bucket of leases.remove(buckets, owner)) if (bucket.unit === 'concurrent') counts.remove(keyOf(bucket))
    for (const bucket of buckets) {
      const change = changeOf(bucket, correction)
      if (change !== 0) settleCell(bucket, change, now)
    }
  }

  return {
    take(buckets, tokens, owner) {
      if (buckets.length === 0) return admission(buckets, [], 0)
      const now = clock.now()
      memory.lock()
      try {
        stand(buckets, now)
        const refused = refusalOf(buckets, debts, tokens)
        if (refused !== null) return refused
        takeAll(buckets, tokens, owner, now)
      } finally {
        memory.unlock()
      }
      return admission(buckets, debts, tokens)
    },
    settle(buckets, correction, owner) {
      if (!buckets.some(({ unit }) => unit === 'concurrent' || correction[unit] !== 0)) return
      memory.lock()
      try {
        settleAll(buckets, correction, owner, clock.now())
      } finally {
        memory.unlock()
      }
    },
  }
}
