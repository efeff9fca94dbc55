import { GatewayError } from '#core/errors.ts'
import type { AuditRow } from '#core/ledger.ts'
import type { AuditQuery, Named, NamedQuery, Reports, UsageQuery, UsageSum } from '#core/reports.ts'
import type { AuditEntryView } from '#wire/audit.ts'
import type { NamedLine, UsageLine } from '#wire/usage-report.ts'
import { reached } from './reached.ts'

const NANO_PER_USD = 1e9

/** A page, and where the next one begins. */
interface Page<T> {
  readonly data: readonly T[]
  readonly next: string | null
}

/** What the management asks about usage and audit. */
export interface ReportManagement {
  usage(query: Omit<UsageQuery, 'offset'> & { readonly after: string | null }): Promise<Page<UsageLine>>
  named(query: Omit<NamedQuery, 'offset'> & { readonly after: string | null }): Promise<Page<NamedLine>>
  audit(query: Omit<AuditQuery, 'after'> & { readonly after: string | null }): Promise<Page<AuditEntryView>>
}

/** Creates it.
 *
 * @param reports `null` where there is no database: nothing was written down. */
export function createReportManagement(reports: Reports | null): ReportManagement {
  return {
    async usage({ after, ...query }) {
      const offset = readOffset(after)
      if (reports === null) return { data: [], next: null }
      const sums = await reached(reports.usage({ ...query, offset, limit: query.limit + 1 }))
      return pageOf(
        sums.map(sum => toLine(query, sum)),
        offset,
        query.limit,
      )
    },
    async named({ after, ...query }) {
      const offset = readOffset(after)
      if (reports === null) return { data: [], next: null }
      const all = await reached(reports.named({ ...query, offset, limit: query.limit + 1 }))
      return pageOf(all.map(toNamedLine), offset, query.limit)
    },
    async audit({ after, ...query }) {
      const cursor = after === null ? null : readCursor(after)
      if (reports === null) return { data: [], next: null }
      const rows = await reached(reports.audit({ ...query, after: cursor, limit: query.limit + 1 }))
      const page = rows.slice(0, query.limit)
      const last = page.at(-1)
      return {
        data: page.map(toEntry),
        next: rows.length > query.limit && last !== undefined ? `${last.at}.${last.id}` : null,
      }
    },
  }
}

/** A page of what was asked for with one more. */
function pageOf<T>(found: readonly T[], offset: number, limit: number): Page<T> {
  return { data: found.slice(0, limit), next: found.length > limit ? String(offset + limit) : null }
}

function readOffset(after: string | null): number {
  const offset = after === null ? 0 : Number(after)
  if (!Number.isSafeInteger(offset) || offset < 0) throw badCursor()
  return offset
}

function toNamedLine({ id, key, tenant, firstSeen, lastSeen, requests, tokens }: Named): NamedLine {
  const [first_seen, last_seen] = [new Date(firstSeen).toISOString(), new Date(lastSeen).toISOString()]
  return { id, key, tenant, first_seen, last_seen, requests, tokens }
}

function toLine({ by }: Pick<UsageQuery, 'by'>, sum: UsageSum): UsageLine {
  const groups = Object.fromEntries(by.map((group, index) => [group, sum.groups[index] ?? null]))
  return {
    ...groups,
    requests: sum.requests,
    input_tokens: sum.input,
    cache_read_tokens: sum.cacheRead,
    cache_write_tokens: sum.cacheWrite,
    output_tokens: sum.output,
    reasoning_tokens: sum.reasoning,
    saved_tokens: sum.saved,
    cost_usd: sum.costNano / NANO_PER_USD,
    extra_cost_usd: sum.extraNano / NANO_PER_USD,
    saved_usd: sum.savedNano / NANO_PER_USD,
    estimated: sum.estimated,
    lost: sum.lost,
    unpriced: sum.unpriced,
  }
}

function toEntry({ prev: _, at, detail, ...row }: AuditRow): AuditEntryView {
  return { ...row, object: 'audit', at: new Date(at).toISOString(), detail: JSON.parse(detail) }
}

function readCursor(text: string): { readonly at: number; readonly id: string } {
  const [, at, id] = /^(\d{1,16})\.([\w-]{1,64})$/.exec(text) ?? []
  if (at === undefined || id === undefined) throw badCursor()
  return { at: Number(at), id }
}

function badCursor(): GatewayError {
  return new GatewayError('invalid_request', 'after must be the `next` of another page.', { param: 'after' })
}
