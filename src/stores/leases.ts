import type { Bucket } from '#core/limiter.ts'
import { PassingMap } from '#lib/passing.ts'

/** Who has which lease: the requests of this process that are under way, by limit. */
export interface Leases {
  count(key: string): number
  /** Gives an owner a lease of each bucket that counts what is under way.
   *
   * @returns The buckets of which it had none before. */
  add(buckets: readonly Bucket[], owner: string): readonly Bucket[]
  /** Takes back what an owner has of these buckets.
   *
   * @returns Those of which it had a lease. */
  remove(buckets: readonly Bucket[], owner: string): readonly Bucket[]
  /** Every lease that is out. */
  all(): Iterable<readonly [key: string, owner: string]>
}

/** Limits without a lease whose counts are kept, for the next request. */
const EMPTY_MAX = 10_000
const NONE: readonly Bucket[] = []

/** Creates an empty list. It is as long as requests are under way, so that it needs no bound of its own.
 *
 * An owner gives back what it has taken, nearly always: one table of owners, each with the list that it came with,
 * instead of a table for each limit, which all of them come to and leave. */
export function createLeases(): Leases {
  const byOwner = new PassingMap<readonly Bucket[]>()
  const counts = new Map<string, { value: number }>()

  function countUp(buckets: readonly Bucket[]): void {
    for (const { unit, key } of buckets) {
      if (unit !== 'concurrent') continue
      const count = counts.get(key)
      if (count === undefined) counts.set(key, { value: 1 })
      else count.value++
    }
  }

  function countDown(buckets: readonly Bucket[]): void {
    for (const { unit, key } of buckets) {
      const count = unit === 'concurrent' ? counts.get(key) : undefined
      if (count === undefined) continue
      count.value--
      if (count.value === 0 && counts.size > EMPTY_MAX) counts.delete(key)
    }
  }

  return {
    count: key => counts.get(key)?.value ?? 0,
    add(buckets, owner) {
      if (!buckets.some(isLeased)) return NONE
      const before = byOwner.get(owner) ?? NONE
      const added = before === NONE ? buckets : buckets.filter(bucket => isLeased(bucket) && !has(before, bucket))
      byOwner.set(owner, before === NONE ? buckets : [...before, ...added])
      countUp(added)
      return added
    },
    remove(buckets, owner) {
      const own = buckets.some(isLeased) ? byOwner.get(owner) : null
      if (own === null) return NONE
      const removed = own === buckets ? own : own.filter(bucket => isLeased(bucket) && has(buckets, bucket))
      const left = own === buckets ? NONE : own.filter(bucket => isLeased(bucket) && !has(buckets, bucket))
      if (left.length === 0) byOwner.delete(owner)
      else byOwner.set(owner, left)
      countDown(removed)
      return removed
    },
    *all() {
      for (const [owner, buckets] of byOwner) for (const { key } of buckets.filter(isLeased)) yield [key, owner]
    },
  }
}

function isLeased({ unit }: Bucket): boolean {
  return unit === 'concurrent'
}

function has(buckets: readonly Bucket[], { key }: Bucket): boolean {
  return buckets.some(bucket => bucket.key === key)
}
