import { PassingMap } from '#lib/passing.ts'

/** Who has which lease: the requests of this process that are under way, by limit. */
export interface Leases {
  count(key: string): number
  /** Whether the owner had none before. */
  add(key: string, owner: string): boolean
  /** Whether the owner had one. */
  remove(key: string, owner: string): boolean
  /** Every lease that is out. */
  all(): Iterable<readonly [key: string, owner: string]>
}

/** Limits without a lease whose counts are kept, for the next request. */
const EMPTY_MAX = 10_000

/** Creates an empty list. It is as long as requests are under way, so that it needs no bound of its own.
 *
 * A request has a handful of leases: one table of the requests, each with its limits, instead of a table for each
 * limit, which all of them come to and leave. */
export function createLeases(): Leases {
  const byOwner = new PassingMap<string[]>()
  const counts = new Map<string, { value: number }>()

  function countUp(key: string): void {
    const count = counts.get(key)
    if (count === undefined) counts.set(key, { value: 1 })
    else count.value++
  }

  function countDown(key: string): void {
    const count = counts.get(key)
    if (count === undefined) return
    count.value--
    if (count.value === 0 && counts.size > EMPTY_MAX) counts.delete(key)
  }

  return {
    count: key => counts.get(key)?.value ?? 0,
    add(key, owner) {
      const keys = byOwner.get(owner)
      if (keys === null) byOwner.set(owner, [key])
      else if (keys.includes(key)) return false
      else keys.push(key)
      countUp(key)
      return true
    },
    remove(key, owner) {
      const keys = byOwner.get(owner)
      const at = keys?.indexOf(key) ?? -1
      if (keys === null || at < 0) return false
      const last = keys.pop()
      if (last === undefined || keys.length === 0) byOwner.delete(owner)
      else if (last !== key) keys[at] = last
      countDown(key)
      return true
    },
    *all() {
      for (const [owner, keys] of byOwner) for (const key of keys) yield [key, owner]
    },
  }
}
