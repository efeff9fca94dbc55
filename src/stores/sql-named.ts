import type { LedgerRow } from '#core/ledger.ts'
import type { Named, NamedQuery } from '#core/reports.ts'
import { othersTurn } from '#lib/turn.ts'
import type { Database, Sql } from './sql.ts'
import type { RawRow } from './sql-rows.ts'

type Table = NamedQuery['of']

/** A row of `users` or `sessions`. */
interface NamedRow {
  readonly tenant: string
  readonly key_id: string
  readonly id: string
  first_seen: number
  last_seen: number
  requests: number
  tokens: number
}

/** How many characters of a name are kept; the rest is cut, because an index takes no long values. */
const NAME_MAX = 256
/** How many names one query reads in a database that runs in this process (SQLite): each query blocks the event
 * loop. */
const PAGE = 5000
/** How many names one transaction looks through for old ones. Nobody else can write to SQLite meanwhile. */
const TRIMMED_MAX = 500

/** Counts requests for the users and sessions that they name: one statement for all users of a batch, and one for all
 * sessions. */
export async function countNamed(sql: Sql, rows: readonly LedgerRow[]): Promise<void> {
  const users = summed(rows, ({ user_id }) => user_id)
  await countIn(sql, 'users', users)
  const sessions = summed(rows, ({ session_id }) => session_id)
  await countIn(sql, 'sessions', sessions)
}

async function countIn(sql: Sql, table: Table, sums: readonly NamedRow[]): Promise<void> {
  if (sums.length === 0) return
  await sql`INSERT INTO ${sql.unsafe(table)} AS known ${sql(sums)} ON CONFLICT (tenant, key_id, id) DO UPDATE SET
    first_seen = CASE WHEN excluded.first_seen < known.first_seen THEN excluded.first_seen ELSE known.first_seen END,
    last_seen = CASE WHEN excluded.last_seen > known.last_seen THEN excluded.last_seen ELSE known.last_seen END,
    requests = known.requests + excluded.requests, tokens = known.tokens + excluded.tokens`
}

/** Sums up rows: one row for each tenant, key and name. */
function summed(rows: readonly LedgerRow[], nameOf: (row: LedgerRow) => string | null): readonly NamedRow[] {
  const sums = new Map<string, NamedRow>()
  for (const row of rows) {
    const id = nameOf(row)?.slice(0, NAME_MAX).toWellFormed() ?? ''
    if (id === '') continue
    const { tenant, key_id, started_at } = row
    const tokens = row.input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.output_tokens
    const at = JSON.stringify([tenant, key_id, id])
    const sum = sums.get(at)
    if (sum === undefined) {
      sums.set(at, { tenant, key_id, id, first_seen: started_at, last_seen: started_at, requests: 1, tokens })
      continue
    }
    sum.first_seen = Math.min(sum.first_seen, started_at)
    sum.last_seen = Math.max(sum.last_seen, started_at)
    sum.requests++
    sum.tokens += tokens
  }
  return [...sums.values()]
}

/** Finds users or sessions, the last seen first, and by name where they were last seen at the same time.
 *
 * @param options.inProcess Whether the database runs in this process (SQLite), where each query blocks the event loop:
 * then it is read page by page, in the order of names.
 * @param options.withinMs How long each query may take, in milliseconds. */
export async function findNamed(
  database: Database,
  query: NamedQuery,
  { inProcess, withinMs }: { readonly inProcess: boolean; readonly withinMs: number },
): Promise<readonly Named[]> {
  const { of, tenant, limit } = query
  if (!inProcess)
    return database.read(sql => named(sql, query, tenant === null ? sql`` : sql`AND tenant = ${tenant}`), withinMs)
  let found: readonly Named[] = []
  for await (const { after, last } of pagesOf(database, of, { size: PAGE, from: tenant ?? '', withinMs })) {
    const part = await database.read(
      sql =>
        named(
          sql,
          query,
          // The `+` keeps SQLite from using the index on the tenant, which would read all rows of it for each page.
          sql`AND (tenant, key_id, id) > ${nameOf(sql, after)} ${tenant === null ? sql`` : sql`AND +tenant = ${tenant}`}
            ${last === null ? sql`` : sql`AND (tenant, key_id, id) <= ${nameOf(sql, last)}`}`,
        ),
      withinMs,
    )
    found = [...found, ...part].sort((a, b) => b.lastSeen - a.lastSeen).slice(0, limit)
    const isPastTenant = tenant !== null && last?.tenant !== tenant
    if (isPastTenant) break
  }
  return found
}

/** Removes users or sessions that were last seen before a time, page by page in the order of their names: callers
 * choose the names, so there may be any number of them. */
export async function trimNamed(database: Database, table: Table, before: number): Promise<void> {
  for await (const { after } of pagesOf(database, table, { size: TRIMMED_MAX, from: '' })) {
    // A subquery with LIMIT, not a condition with both ends of the page: Postgres does not stop reading at the second
    // end.
    const page = (sql: Sql) => sql`
      SELECT tenant, key_id, id, last_seen FROM ${sql.unsafe(table)} WHERE (tenant, key_id, id) > ${nameOf(sql, after)}
      ORDER BY tenant, key_id, id LIMIT ${TRIMMED_MAX}`
    const found = await database.read(
      sql => sql`SELECT 1 AS found FROM (${page(sql)}) AS page WHERE last_seen < ${before} LIMIT 1`,
    )
    if (found.length === 0) continue
    await database.write(
      sql => sql`
        DELETE FROM ${sql.unsafe(table)}
        WHERE last_seen < ${before}
          AND (tenant, key_id, id) IN (SELECT tenant, key_id, id FROM (${page(sql)}) AS page)`,
    )
  }
}

/** Goes through a table page by page, in the order of names. The event loop runs after each page.
 *
 * @param options.from The tenant to begin with.
 * @returns The name before each page, and its last name; `null` = the table ends with this page. */
async function* pagesOf(
  database: Database,
  table: Table,
  { size, from, withinMs }: { readonly size: number; readonly from: string; readonly withinMs?: number },
): AsyncGenerator<{ readonly after: RawRow; readonly last: RawRow | null }> {
  for (let after: RawRow = { tenant: from, key_id: '', id: '' }; ; ) {
    const last = await database.read(sql => nameAt(sql, table, after, size), withinMs)
    yield { after, last }
    await othersTurn()
    if (last === null) return
    after = last
  }
}

/** The last name of a page of this size; `null` when it is the last page. */
async function nameAt(sql: Sql, table: Table, behind: RawRow, size: number): Promise<RawRow | null> {
  const [row]: RawRow[] = await sql`
    SELECT tenant, key_id, id FROM ${sql.unsafe(table)} WHERE (tenant, key_id, id) > ${nameOf(sql, behind)}
    ORDER BY tenant, key_id, id LIMIT 1 OFFSET ${size - 1}`
  return row ?? null
}

function nameOf(sql: Sql, { tenant, key_id, id }: RawRow): object {
  return sql`(${tenant}, ${key_id}, ${id})`
}

/** @param part A further condition that selects some of them. */
async function named(sql: Sql, { of, key, after, limit }: NamedQuery, part: object): Promise<readonly Named[]> {
  const rows: RawRow[] = await sql`
    SELECT tenant, key_id, id, first_seen, last_seen, requests, tokens FROM ${sql.unsafe(of)}
    WHERE 1 = 1 ${part}
      ${key === null ? sql`` : sql`AND key_id = ${key}`}
      ${
        after === null
          ? sql``
          : sql`AND (last_seen < ${after.lastSeen} OR (last_seen = ${after.lastSeen}
              AND (tenant, key_id, id) > (${after.tenant}, ${after.key}, ${after.id})))`
      }
    ORDER BY last_seen DESC, tenant, key_id, id LIMIT ${limit}`
  return rows.map(row => ({
    tenant: String(row.tenant),
    key: String(row.key_id),
    id: String(row.id),
    firstSeen: Number(row.first_seen),
    lastSeen: Number(row.last_seen),
    requests: Number(row.requests),
    tokens: Number(row.tokens),
  }))
}
