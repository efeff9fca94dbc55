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

/** Limits without a lease whose empty lists are kept, for the next request. */
const EMPTY_MAX = 10_000

/** Creates an empty list. It is as long as requests are under way, so that it needs no bound of its own. */
export function createLeases(): Leases {
  const byKey = new Map<string, Set<string>>()

  return {
    count: key => byKey.get(key)?.size ?? 0,
    add(key, owner) {
      const owners = byKey.get(key)
      if (owners === undefined) byKey.set(key, new Set([owner]))
      else if (owners.has(owner)) return false
      else owners.add(owner)
      return true
    },
    remove(key, owner) {
      const owners = byKey.get(key)
      if (!owners?.delete(owner)) return false
      if (owners.size === 0 && byKey.size > EMPTY_MAX) byKey.delete(key)
      return true
    },
    *all() {
      for (const [key, owners] of byKey) for (const owner of owners) yield [key, owner]
    },
  }
}
