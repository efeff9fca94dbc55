import type { Fact } from '#core/journal.ts'
import type { Outcome, RequestRecord } from '#core/record.ts'

/** What the requests of one tenant came to since the process started. */
export interface TenantStats {
  readonly requests: Readonly<Record<'total' | Outcome, number>>
  readonly tokens: Readonly<Record<'input' | 'cache_read' | 'cache_write' | 'output' | 'reasoning', number>>
}

/** Sums of each tenant. */
export interface Stats {
  subscriber(fact: Fact): void
  of(tenant: string): TenantStats
}

/** Tenants are made by the operator; still nothing here may grow without a bound. */
const TENANTS_MAX = 10_000

/** Creates the sums. */
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
    if (record.usage === null) return
    sums.tokens.input += record.usage.input
    sums.tokens.cache_read += record.usage.cacheRead
    sums.tokens.cache_write += record.usage.cacheWrite
    sums.tokens.output += record.usage.output
    sums.tokens.reasoning += record.usage.reasoning
  }

  return {
    subscriber(fact) {
      if (fact.type === 'request-settled' && fact.record.tenant !== null) count(fact.record, fact.record.tenant)
    },
    of: tenant => tenants.get(tenant) ?? nothing(),
  }
}

function nothing() {
  return {
    requests: { total: 0, ok: 0, recovered: 0, denied: 0, cancelled: 0, failed: 0, interrupted: 0 },
    tokens: { input: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0 },
  }
}
