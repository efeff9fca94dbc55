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
  /** Why nothing is there, where that is not because nothing happened. */
  readonly note?: string
}

/** Whether rows of requests, or of the audit log, are kept by now. */
export type Keeps = (what: 'requests' | 'audit') => boolean

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
export function createReportManagement(
  reports: Reports | null,
  keeps: Keeps = () => reports !== null,
): ReportManagement {
  /** Says of a report without a row that nothing is written down: it would look as if nothing had happened. */
  function told<T>(page: Page<T>, { after }: { readonly after: string | null }, what: keyof typeof NOT_KEPT): Page<T> {
    return page.data.length > 0 || after !== null || keeps(what) ? page : { ...page, note: NOT_KEPT[what] }
  }

  return {
    async usage(asked) {
      const { after: cursor, ...query } = asked
      const { by, limit } = query
      const place = cursor === null ? null : readCursor(cursor, by)
      const after = place === null ? null : by.map(group => place[group])
      const sums = reports === null ? [] : await reached(reports.usage({ ...query, after, limit: limit + 1 }))
      const page = pageOf(sums, limit, {
        line: sum => ({ ...groupsOf(by, sum), ...toLine(sum) }),
        next: sum => writeCursor(groupsOf(by, sum)),
      })
      return told(page, asked, 'requests')
    },
    async named(asked) {
      const { after: cursor, ...query } = asked
      const after = cursor === null ? null : readNamed(cursor)
      const all = reports === null ? [] : await reached(reports.named({ ...query, after, limit: query.limit + 1 }))
      const page = pageOf(all, query.limit, {
        line: toNamedLine,
        next: ({ lastSeen, tenant, key, id }) => writeCursor({ seen: String(lastSeen), tenant, key, id }),
      })
      return told(page, asked, 'requests')
    },
    async audit(asked) {
      const { after, ...query } = asked
      const cursor = after === null ? null : readMoment(after)
      const rows =
        reports === null ? [] : await reached(reports.audit({ ...query, after: cursor, limit: query.limit + 1 }))
      return told(pageOf(rows, query.limit, { line: toEntry, next: ({ at, id }) => `${at}.${id}` }), asked, 'audit')
    },
  }
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
