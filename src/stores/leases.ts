import type { Bucket } from '#core/limiter.ts'
import { PassingMap } from '#lib/passing.ts'

/** The leases of concurrency limits that requests of this process hold. */
export interface Leases {
  /** How many leases of a bucket are held. */
  count(key: string): number
  /** Gives an owner (the id of a request) a lease of each bucket whose unit is `concurrent`.
   *
   * @returns The buckets of which it had no lease before. */
  add(buckets: readonly Bucket[], owner: string): readonly Bucket[]
  /** Takes the owner's leases of these buckets back.
   *
   * @returns The buckets of which it had a lease. */
  remove(buckets: readonly Bucket[], owner: string): readonly Bucket[]
  /** Every lease that is held. */
  all(): Iterable<readonly [key: string, owner: string]>
}

/** How many counts of 0 are kept for the next request, instead of being deleted and made again. */
const EMPTY_MAX = 10_000
const NONE: readonly Bucket[] = []

/** Creates an empty list. It has an entry for each request in flight, so that it needs no bound of its own.
 *
 * It is one map of owners, each with the buckets it took, because an owner nearly always gives back just those. A map for
 * each limit would cost an insertion and a deletion for each limit of a request. */
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
