import type { Reports, UsageGroup, UsageQuery, UsageSum } from '#core/reports.ts'
import { firstIdAt } from '#lib/id.ts'
import { othersTurn } from '#lib/turn.ts'
import type { Database, Sql } from './sql.ts'
import { findAuditRows } from './sql-audit-rows.ts'
import { findNamed } from './sql-named.ts'
import type { RawRow } from './sql-rows.ts'

/** How long each query of a report may take, in milliseconds. */
const REPORT_MS = 10_000

const COLUMNS: Readonly<Record<UsageGroup, string>> = {
  day: 'day',
  key: 'key_id',
  tenant: 'tenant',
  model: 'model',
  server: 'server',
  user: 'user_id',
  session: 'session_id',
}

/** How many requests one query reads in a database that runs in this process (SQLite): each query blocks the event
 * loop. */
const PAGE = 5000
const DAY_MS = 86_400_000

/** Creates the reports from a database.
 *
 * @param options.inProcess Whether the database runs in this process (SQLite), where each query blocks the event loop:
 * then it is read page by page. */
export function createSqlReports(database: Database, options: { readonly inProcess: boolean }): Reports {
  return {
    usage: query =>
      options.inProcess
        ? sumInTurns(database, query)
        : database.read(
            sql =>
              sum(sql, query, { from: sql`requests`, behind: behind(sql, query), page: sql`LIMIT ${query.limit}` }),
            REPORT_MS,
          ),
    named: query => findNamed(database, query, { ...options, withinMs: REPORT_MS }),
    audit: query => findAuditRows(database, query, { ...options, withinMs: REPORT_MS }),
  }
}

/** Sums up in several queries; the event loop runs between two of them. */
async function sumInTurns(database: Database, query: UsageQuery): Promise<readonly UsageSum[]> {
  const { tenant, key, after, limit } = query
  let sums = new Map<string, UsageSum>()
  const first = () => [...sums.values()].sort((a, b) => order(a.groups, b.groups)).slice(0, limit)
  const parts = tenant !== null && key !== null ? ofKey(database, query, tenant, key) : ofAll(database, query)
  for await (const part of parts) {
    for (const each of part) {
      if (after !== null && order(each.groups, after) <= 0) continue
      const name = JSON.stringify(each.groups)
      const known = sums.get(name)
      sums.set(name, known === undefined ? each : added(known, each))
    }
    // There may be as many groups as requests. Those behind the page never come into it.
    if (sums.size > limit + PAGE) sums = new Map(first().map(each => [JSON.stringify(each.groups), each]))
    await othersTurn()
  }
  return first()
}

/** The sums of all requests of some days: their ids are in the order of days. */
function ofAll(database: Database, query: UsageQuery) {
  const [from, end] = [firstIdAt(Date.parse(query.from)), firstIdAt(Date.parse(query.to) + DAY_MS)]
  return ofPages(database, query, { column: 'id', from, which: sql => sql`id < ${end}` })
}

/** The sums of the requests of a key, day by day: so they stand in its index. */
async function* ofKey(database: Database, query: UsageQuery, tenant: string, key: string) {
  const its = (sql: Sql) => sql`tenant = ${tenant} AND key_id = ${key}`
  for (let day: string | null = query.from; day !== null; ) {
    const of: string = day
    yield* ofPages(database, query, { column: 'rowid', from: 0, which: sql => sql`${its(sql)} AND day = ${of}` })
    day = await database.read(async sql => {
      const rows: RawRow[] = await sql`
        SELECT day FROM requests WHERE ${its(sql)} AND day > ${of} AND day <= ${query.to} ORDER BY day LIMIT 1`
      return rows[0] === undefined ? null : String(rows[0].day)
    }, REPORT_MS)
  }
}

type Place = NonNullable<RawRow[string]>

/** The sums of each page of some of the requests, in the order of a column.
 *
 * @param part.from The value behind which they begin. */
async function* ofPages(
  database: Database,
  query: UsageQuery,
  part: { readonly column: 'id' | 'rowid'; readonly from: Place; readonly which: (sql: Sql) => object },
) {
  const by = (sql: Sql) => sql.unsafe(part.column)
  const rest = (sql: Sql, after: Place) => sql`${part.which(sql)} AND ${by(sql)} > ${after}`
  for (let after: Place | null = part.from; after !== null; ) {
    const first: Place = after
    const last: Place | null = await database.read(async sql => {
      const rows: RawRow[] = await sql`
        SELECT ${by(sql)} AS place FROM requests WHERE ${rest(sql, first)}
        ORDER BY ${by(sql)} LIMIT 1 OFFSET ${PAGE - 1}`
      return rows[0]?.place ?? null
    }, REPORT_MS)
    yield database.read(
      sql =>
        sum(sql, query, {
          // By this column and not by OFFSET, because rows are added and removed meanwhile. ORDER BY and LIMIT keep SQLite
          // from choosing the index on the tenant, by which it would read all its rows.
          from: sql`(SELECT * FROM requests
            WHERE ${rest(sql, first)} ${last === null ? sql`` : sql`AND ${by(sql)} <= ${last}`}
            ORDER BY ${by(sql)} LIMIT ${Number.MAX_SAFE_INTEGER}) AS requests`,
          behind: sql``,
          page: sql``,
        }),
      REPORT_MS,
    )
    after = last
  }
}

function added(a: UsageSum, b: UsageSum): UsageSum {
  return { groups: a.groups, ...amounts(name => a[name] + b[name]) }
}

/** Compares groups; `null` sorts first. */
function order(a: UsageSum['groups'], b: UsageSum['groups']): number {
  for (const [index, one] of a.entries()) {
    const other = b[index] ?? null
    if (one === other) continue
    if (one === null || other === null) return one === null ? -1 : 1
    return one < other ? -1 : 1
  }
  return 0
}

/** The condition for all groups after the last one of the previous page, compared as the database orders them. */
function behind(sql: Sql, { by, after }: UsageQuery): object {
  if (after === null) return sql``
  let condition: object = sql`1 = 0`
  for (const [index, group] of [...by.entries()].reverse()) {
    const [column, last] = [sql.unsafe(COLUMNS[group]), after[index] ?? null]
    condition =
      last === null
        ? sql`(${column} IS NOT NULL OR ${condition})`
        : sql`(${column} > ${last} OR (${column} = ${last} AND ${condition}))`
  }
  return sql`AND ${condition}`
}

/** @param source The parts of the statement: what it reads (`from`), and which of the sums it gives (`behind`,
 * `page`). */
async function sum(
  sql: Sql,
  query: UsageQuery,
  source: { readonly from: object; readonly behind: object; readonly page: object },
): Promise<readonly UsageSum[]> {
  const columns = query.by.map(group => COLUMNS[group])
  const places = columns.map((_, index) => index + 1)
  const picked = columns.map((column, index) => `${column} AS g${index}`).join(', ')
  // Names of columns come from the table above; values never stand in this text.
  const rows: RawRow[] = await sql`
    SELECT ${sql.unsafe(picked)},
      SUM(CASE WHEN parent IS NULL THEN 1 ELSE 0 END) AS requests,
      SUM(CASE WHEN parent IS NULL THEN input_tokens ELSE 0 END) AS input,
      SUM(CASE WHEN parent IS NULL THEN cache_read_tokens ELSE 0 END) AS "cacheRead",
      SUM(CASE WHEN parent IS NULL THEN cache_write_tokens ELSE 0 END) AS "cacheWrite",
      SUM(CASE WHEN parent IS NULL THEN output_tokens ELSE 0 END) AS output,
      SUM(CASE WHEN parent IS NULL THEN reasoning_tokens ELSE 0 END) AS reasoning,
      SUM(saved_tokens) AS saved, SUM(cost_nano) AS "costNano", SUM(extra_cost_nano) AS "extraNano",
      SUM(saved_nano) AS "savedNano",
      SUM(CASE WHEN parent IS NULL THEN estimated ELSE 0 END) AS estimated,
      SUM(CASE WHEN outcome = 'lost' THEN 1 ELSE 0 END) AS lost,
      SUM(CASE WHEN parent IS NULL AND cost_nano IS NULL THEN 1 ELSE 0 END) AS unpriced
    FROM ${source.from}
    WHERE day >= ${query.from} AND day <= ${query.to}
      ${query.tenant === null ? sql`` : sql`AND tenant = ${query.tenant}`}
      ${query.key === null ? sql`` : sql`AND key_id = ${query.key}`}
      ${query.model === null ? sql`` : sql`AND model = ${query.model}`}
      ${query.server === null ? sql`` : sql`AND server = ${query.server}`}
      ${source.behind}
    GROUP BY ${sql.unsafe(places.join(', '))}
    ORDER BY ${sql.unsafe(places.map(place => `${place} NULLS FIRST`).join(', '))} ${source.page}`
  return rows.map(row => toSum(row, columns.length))
}

function toSum(row: RawRow, groups: number): UsageSum {
  return {
    groups: Array.from({ length: groups }, (_, index) => {
      const value = row[`g${index}`]
      return value == null ? null : String(value)
    }),
    ...amounts(name => Number(row[name] ?? 0)),
  }
}

type Amounts = Omit<UsageSum, 'groups'>

function amounts(of: (name: keyof Amounts) => number): Amounts {
  return {
    requests: of('requests'),
    input: of('input'),
    cacheRead: of('cacheRead'),
    cacheWrite: of('cacheWrite'),
    output: of('output'),
    reasoning: of('reasoning'),
    saved: of('saved'),
    costNano: of('costNano'),
    extraNano: of('extraNano'),
    savedNano: of('savedNano'),
    estimated: of('estimated'),
    lost: of('lost'),
    unpriced: of('unpriced'),
  }
}
