import type { AuditRow } from '#core/ledger.ts'
import type { AuditQuery } from '#core/reports.ts'
import { othersTurn } from '#lib/turn.ts'
import type { Database, Sql } from './sql.ts'
import { type RawRow, toAuditRow } from './sql-rows.ts'

/** How many rows one query reads in a database that runs in this process (SQLite): each query blocks the event loop. */
const PAGE = 5000

/** The position of one row in the order of the log. */
type Place = NonNullable<AuditQuery['after']>

/** Finds rows of the audit log, the latest first.
 *
 * @param options.inProcess Whether the database runs in this process (SQLite). Then a search by kind or actor reads
 * page by page, because the few rows that match may be among millions and a query blocks the event loop.
 * @param options.withinMs How long each query may take, in milliseconds. */
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
    await othersTurn()
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

/** The condition for the time, the tenant, and the rows that come after one row. The time of that row bounds `at` too,
 * so that the database can use the index on it. */
function behind(sql: Sql, { tenant, from, to, after }: AuditQuery): object {
  const before = after === null ? to : Math.min(to, after.at + 1)
  return sql`
    WHERE at >= ${from} AND at < ${before} ${after === null ? sql`` : sql`AND (at < ${after.at} OR id < ${after.id})`}
      ${tenant === null ? sql`` : sql`AND tenant = ${tenant}`}`
}
