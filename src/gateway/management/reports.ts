import type { AuditRow } from '#core/ledger.ts'
import type { AuditQuery, Named, NamedQuery, Reports, UsageGroup, UsageQuery, UsageSum } from '#core/reports.ts'
import type { AuditEntryView } from '#wire/audit.ts'
import type { NamedLine, UsageLine } from '#wire/usage-report.ts'
import { badCursor, readCursor, writeCursor } from './cursor.ts'
import { reached } from './reached.ts'

const NANO_PER_USD = 1e9

/** A page, and where the next one begins. */
interface Page<T> {
  readonly data: readonly T[]
  readonly next: string | null
  /** What a reader has to know who takes the page for all that happened. */
  readonly note?: string
}

/** What is written down, and for how long. */
export interface Keeping {
  /** Whether rows of requests, or of the audit log, are kept by now. */
  keeps(what: 'requests' | 'audit'): boolean
  /** Epoch milliseconds before which rows are removed. */
  since(): number
}

const WITH = 'once one of these is set: database.url, service.data_dir, a budget, audit.payloads.'
const NOT_KEPT = {
  requests: `No rows of requests are kept; they are ${WITH}`,
  audit: `No audit log is kept; it is ${WITH.slice(0, -1)}, and audit.enabled is not false.`,
} as const

/** A query, with the `next` of the page before. */
type Asked<Query> = Omit<Query, 'after'> & { readonly after: string | null }

/** What the management asks about usage and audit. */
export interface ReportManagement {
  usage(query: Asked<UsageQuery>): Promise<Page<UsageLine>>
  named(query: Asked<NamedQuery>): Promise<Page<NamedLine>>
  audit(query: Asked<AuditQuery>): Promise<Page<AuditEntryView>>
}

/** Creates it.
 *
 * @param reports `null` where there is no database: nothing was written down. */
export function createReportManagement(reports: Reports | null, keeping: Keeping): ReportManagement {
  /** Says of a report without a row that nothing is written down, for it would look as if nothing had happened, and of one
   * that begins before the rows do that it is not whole. */
  function told<T>(page: Page<T>, after: string | null, what: keyof typeof NOT_KEPT, from: number | null): Page<T> {
    if (page.data.length === 0 && after === null && !keeping.keeps(what)) return { ...page, note: NOT_KEPT[what] }
    const since = keeping.since()
    return from === null || from >= since ? page : { ...page, note: removedBefore(since) }
  }

  return {
    async usage({ after: cursor, ...query }) {
      const { by, limit } = query
      const place = cursor === null ? null : readCursor(cursor, by)
      const after = place === null ? null : by.map(group => place[group])
      const sums = reports === null ? [] : await reached(reports.usage({ ...query, after, limit: limit + 1 }))
      const page = pageOf(sums, limit, {
        line: sum => ({ ...groupsOf(by, sum), ...toLine(sum) }),
        next: sum => writeCursor(groupsOf(by, sum)),
      })
      return told(page, cursor, 'requests', Date.parse(query.from))
    },
    async named({ after: cursor, ...query }) {
      const after = cursor === null ? null : readNamed(cursor)
      const all = reports === null ? [] : await reached(reports.named({ ...query, after, limit: query.limit + 1 }))
      const page = pageOf(all, query.limit, {
        line: toNamedLine,
        next: ({ lastSeen, tenant, key, id }) => writeCursor({ seen: String(lastSeen), tenant, key, id }),
      })
      return told(page, cursor, 'requests', null)
    },
    async audit({ after, ...query }) {
      const cursor = after === null ? null : readMoment(after)
      const rows =
        reports === null ? [] : await reached(reports.audit({ ...query, after: cursor, limit: query.limit + 1 }))
      const page = pageOf(rows, query.limit, { line: toEntry, next: ({ at, id }) => `${at}.${id}` })
      // From the beginning on is what nobody has asked for in particular.
      return told(page, after, 'audit', query.from === 0 ? null : query.from)
    },
  }
}

function removedBefore(since: number): string {
  return `Rows from before ${new Date(since).toISOString()} are removed by now: they are kept for audit.retention.`
}

/** A page of what was asked for with one more. */
function pageOf<Row, Line>(
  found: readonly Row[],
  limit: number,
  as: { readonly line: (row: Row) => Line; readonly next: (row: Row) => string },
): Page<Line> {
  const page = found.slice(0, limit)
  const last = page.at(-1)
  return {
    data: page.map(as.line),
    next: found.length > limit && last !== undefined ? as.next(last) : null,
  }
}

function groupsOf(by: readonly UsageGroup[], { groups }: UsageSum): Record<string, string | null> {
  return Object.fromEntries(by.map((group, index) => [group, groups[index] ?? null]))
}

function readNamed(cursor: string): NamedQuery['after'] {
  const { seen, tenant, key, id } = readCursor(cursor, ['seen', 'tenant', 'key', 'id'])
  if (seen === null || !/^\d{1,16}$/.test(seen) || tenant === null || key === null || id === null) throw badCursor()
  return { lastSeen: Number(seen), tenant, key, id }
}

function toNamedLine({ id, key, tenant, firstSeen, lastSeen, requests, tokens }: Named): NamedLine {
  const [first_seen, last_seen] = [new Date(firstSeen).toISOString(), new Date(lastSeen).toISOString()]
  return { id, key, tenant, first_seen, last_seen, requests, tokens }
}

function toLine(sum: UsageSum): UsageLine {
  return {
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

function readMoment(text: string): { readonly at: number; readonly id: string } {
  const [, at, id] = /^(\d{1,16})\.([\w-]{1,64})$/.exec(text) ?? []
  if (at === undefined || id === undefined) throw badCursor()
  return { at: Number(at), id }
}
