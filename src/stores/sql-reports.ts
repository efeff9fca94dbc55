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
  const sums = new Map<string, UsageSum>()
  const { tenant, key } = query
  const parts = tenant !== null && key !== null ? ofDays(database, query, tenant, key) : ofPages(database, query)
  for await (const part of parts) {
    for (const each of part) {
      const name = JSON.stringify(each.groups)
      const known = sums.get(name)
      sums.set(name, known === undefined ? each : added(known, each))
    }
    await othersTurn()
  }
  const { after } = query
  const all = [...sums.values()].sort((a, b) => order(a.groups, b.groups))
  return all.filter(({ groups }) => after === null || order(groups, after) > 0).slice(0, query.limit)
}

/** The sums of each day of a key, which the index finds. */
async function* ofDays(database: Database, query: UsageQuery, tenant: string, key: string) {
  const days: RawRow[] = await database.read(
    sql => sql`
      SELECT DISTINCT day FROM requests
      WHERE tenant = ${tenant} AND key_id = ${key} AND day >= ${query.from} AND day <= ${query.to}`,
    REPORT_MS,
  )
  for (const row of days) {
    const day = String(row.day)
    yield database.read(
      sql => sum(sql, { ...query, from: day, to: day }, { from: sql`requests`, behind: sql``, page: sql`` }),
      REPORT_MS,
    )
  }
}

/** The sums of each page of requests, in the order of their ids and so of days. */
async function* ofPages(database: Database, query: UsageQuery) {
  const end = firstIdAt(Date.parse(query.to) + DAY_MS)
  for (let after: string | null = firstIdAt(Date.parse(query.from)); after !== null && after < end; ) {
    const [first, last]: [string, string | null] = [after, await pageEnd(database, after)]
    yield database.read(
      sql =>
        sum(sql, query, {
          // By ids and not by OFFSET, because rows are added and removed meanwhile. ORDER BY and LIMIT keep SQLite from
          // choosing the index on the tenant, by which it would read all its rows.
          from: sql`(SELECT * FROM requests WHERE id > ${first} ${last === null ? sql`` : sql`AND id <= ${last}`}
            ORDER BY id LIMIT ${Number.MAX_SAFE_INTEGER}) AS requests`,
          behind: sql``,
          page: sql``,
        }),
      REPORT_MS,
    )
    after = last
  }
}

/** The last id of a page; `null` when it is the last page. */
function pageEnd(database: Database, after: string): Promise<string | null> {
  return database.read(async sql => {
    const rows: RawRow[] = await sql`SELECT id FROM requests WHERE id > ${after} ORDER BY id LIMIT 1 OFFSET ${PAGE - 1}`
    return rows[0] === undefined ? null : String(rows[0].id)
  }, REPORT_MS)
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
