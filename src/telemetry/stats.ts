import type { Fact } from '#core/journal.ts'
import { freeOutcome, type Outcome, type RequestRecord } from '#core/record.ts'

/** The totals of one tenant's model calls since the process started. */
export interface TenantStats {
  readonly requests: Readonly<Record<'total' | Outcome, number>>
  readonly tokens: Readonly<Record<'input' | 'cache_read' | 'cache_write' | 'output' | 'reasoning', number>>
  /** `hit_ratio` is the share of the calls that the cache looked at for which no server was asked. */
  readonly cache: Readonly<Record<'hits' | 'coalesced' | 'misses' | 'hit_ratio' | 'saved_tokens' | 'saved_usd', number>>
}

/** The totals of each tenant. */
export interface Stats {
  subscriber(fact: Fact): void
  /** The totals of a tenant; all 0 when it has made no call. */
  of(tenant: string): TenantStats
}

/** How many tenants are counted. Operators create tenants, but memory must have a bound all the same. */
const TENANTS_MAX = 10_000
const NANO_PER_USD = 1e9

/** Creates the totals. */
export function createStats(): Stats {
  const tenants = new Map<string, ReturnType<typeof nothing>>()

  function count(record: RequestRecord, tenant: string): void {
    let sums = tenants.get(tenant)
    if (sums === undefined) {
      if (tenants.size >= TENANTS_MAX) return
      sums = nothing()
      tenants.set(tenant, sums)
    }
    sums.requests.total++
    sums.requests[record.outcome]++
    sums.cache.saved_tokens += record.savedTokens
    sums.savedNano += record.savedNano ?? 0
    const { cache } = record
    if (cache?.status === 'miss') sums.cache.misses++
    else if (cache?.status === 'coalesced') sums.cache.coalesced++
    else if (cache?.status === 'hit') sums.cache.hits++
    // The tokens of a cached or shared answer were counted for the call that a server answered.
    if (record.usage === null || freeOutcome(record) !== null) return
    sums.tokens.input += record.usage.input
    sums.tokens.cache_read += record.usage.cacheRead
    sums.tokens.cache_write += record.usage.cacheWrite
    sums.tokens.output += record.usage.output
    sums.tokens.reasoning += record.usage.reasoning
  }

  return {
    subscriber(fact) {
      if (fact.type !== 'request-settled') return
      const { record } = fact
      if (record.purpose === 'call' && record.tenant !== null) count(record, record.tenant)
    },
    of(tenant) {
      const { savedNano, ...sums } = tenants.get(tenant) ?? nothing()
      const { hits, coalesced, misses } = sums.cache
      const hit_ratio = (hits + coalesced) / Math.max(1, hits + coalesced + misses)
      return { ...sums, cache: { ...sums.cache, hit_ratio, saved_usd: savedNano / NANO_PER_USD } }
    },
  }
}

function nothing() {
  return {
    requests: {
      total: 0,
      ok: 0,
      recovered: 0,
      hit: 0,
      coalesced: 0,
      denied: 0,
      cancelled: 0,
      failed: 0,
      interrupted: 0,
    },
    tokens: { input: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0 },
    cache: { hits: 0, coalesced: 0, misses: 0, saved_tokens: 0 },
    savedNano: 0,
  }
}
