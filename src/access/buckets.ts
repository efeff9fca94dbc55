import { LRUCache } from 'lru-cache'
import type { Caller } from '#core/caller.ts'
import type { Bucket } from '#core/limiter.ts'
import { clientNetwork } from '#lib/net.ts'

/** One limit as the operator writes it; 0 = none, and the burst is the limit when absent. */
interface RequestLimit {
  readonly requests_per_minute: number
  readonly burst: number | null
}

/** The request limits that this page knows of. */
export interface RequestLimits {
  readonly enabled: boolean
  readonly global: RequestLimit
  readonly per_client: RequestLimit
}

const ADDRESSES_MAX = 10_000

/** Creates the lookup of the buckets that a request takes from: the global one, and its key's, or without a key its
 * address's. Bucket objects are made once for each caller and each address. */
export function createBuckets(limits: RequestLimits): (caller: Caller, address: string) => readonly Bucket[] {
  const none: readonly Bucket[] = []
  if (!limits.enabled) return () => none
  const shared = bucket('global', 'global', limits.global)
  const byCaller = new WeakMap<Caller, readonly Bucket[]>()
  const byAddress = new LRUCache<string, readonly Bucket[]>({ max: ADDRESSES_MAX })

  return function bucketsFor(caller, address) {
    const named = caller.role !== 'anonymous'
    let buckets = named ? byCaller.get(caller) : byAddress.get(address)
    if (buckets !== undefined) return buckets
    if (named) {
      buckets = [...shared, ...bucket(`key:${caller.id}`, 'key', limitOf(caller, limits.per_client))]
      byCaller.set(caller, buckets)
    } else {
      buckets = [...shared, ...bucket(`address:${clientNetwork(address)}`, 'address', limits.per_client)]
      byAddress.set(address, buckets)
    }
    return buckets
  }
}

function limitOf(caller: Caller, usual: RequestLimit): RequestLimit {
  const own = caller.requestsPerMinute
  return {
    requests_per_minute: own ?? usual.requests_per_minute,
    burst: caller.burst ?? (own === null ? usual.burst : null),
  }
}

function bucket(key: string, scope: string, limit: RequestLimit): readonly Bucket[] {
  const perMinute = limit.requests_per_minute
  if (perMinute <= 0) return []
  return [{ key, scope, perMinute, burst: Math.max(1, limit.burst ?? perMinute) }]
}
