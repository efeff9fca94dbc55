import type { AuditRow } from '#core/ledger.ts'
import type { AuditQuery } from '#core/reports.ts'
import type { Database, Sql } from './sql.ts'
import { type RawRow, toAuditRow } from './sql-rows.ts'

/** Rows that are looked through at once in a database that takes the time of this process. */
const PAGE = 5000

/** Where one row stands. */
type Place = NonNullable<AuditQuery['after']>

/** Finds rows of the audit log, the latest first.
 *
 * @param options.inProcess Whether the database takes the time of this process: then it is asked little at a time, where
 * those that are wanted may be few among millions.
 * @param options.withinMs How long each question may take. */
export async function findAuditRows(
  database: Database,
  query: AuditQuery,
  { inProcess, withinMs }: { readonly inProcess: boolean; readonly withinMs: number },
): Promise<readonly AuditRow[]> {
  const { kind, actor, limit } = query
  if (!inProcess || (kind === null && actor === null)) return database.read(sql => rowsOf(sql, query), withinMs)
  const found: AuditRow[] = []
  for (let page = query; ; ) {
    const { after } = page
    const end = await database.read(sql => placeOf(sql, page), withinMs)
    const part = { ...query, after, limit: limit - found.length }
    found.push(...(await database.read(sql => rowsOf(sql, part, end), withinMs)))
    if (end === null || found.length >= limit) return found
    page = { ...query, after: end }
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** The last row of a page; `null` when it is the last page. */
async function placeOf(sql: Sql, query: AuditQuery): Promise<Place | null> {
  const [row]: RawRow[] = await sql`
    SELECT at, id FROM audit ${behind(sql, query)} ORDER BY at DESC, id DESC LIMIT 1 OFFSET ${PAGE - 1}`
  return row === undefined ? null : { at: Number(row.at), id: String(row.id) }
}

/** @param last The last row that is looked at. */
async function rowsOf(sql: Sql, query: AuditQuery, last: Place | null = null): Promise<readonly AuditRow[]> {
  const { kind, actor, limit } = query
  const from = last === null ? query.from : Math.max(query.from, last.at)
  const rows: RawRow[] = await sql`
    SELECT * FROM audit ${behind(sql, { ...query, from })}
      ${last === null ? sql`` : sql`AND (at > ${last.at} OR id >= ${last.id})`}
      ${kind === null ? sql`` : sql`AND kind = ${kind}`}
      ${actor === null ? sql`` : sql`AND actor = ${actor}`}
    ORDER BY at DESC, id DESC LIMIT ${limit}`
  return rows.map(toAuditRow)
}

/** The rows of a time and a tenant behind one row. Their time is bounded by its own, so that an index leads there. */
function behind(sql: Sql, { tenant, from, to, after }: AuditQuery): object {
  const before = after === null ? to : Math.min(to, after.at + 1)
  return sql`
    WHERE at >= ${from} AND at < ${before} ${after === null ? sql`` : sql`AND (at < ${after.at} OR id < ${after.id})`}
      ${tenant === null ? sql`` : sql`AND tenant = ${tenant}`}`
}
