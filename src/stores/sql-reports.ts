import type { Named, NamedQuery, Reports, UsageGroup, UsageQuery, UsageSum } from '#core/reports.ts'
import type { Database, Sql } from './sql.ts'
import { type RawRow, toAuditRow } from './sql-rows.ts'

/** How long a report may take. */
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

/** Tells what stands in a database. */
export function createSqlReports(database: Database): Reports {
  return {
    usage: query => database.read(sql => sum(sql, query), REPORT_MS),
    named: query => database.read(sql => named(sql, query), REPORT_MS),
    audit: ({ tenant, kind, actor, from, to, after, limit }) =>
      database.read(async sql => {
        const [at, id] = [after?.at ?? to, after?.id ?? '']
        const rows: RawRow[] = await sql`
          SELECT * FROM audit
          WHERE at >= ${from} AND at < ${to} AND (at < ${at} OR (at = ${at} AND id < ${id}))
            ${tenant === null ? sql`` : sql`AND tenant = ${tenant}`}
            ${kind === null ? sql`` : sql`AND kind = ${kind}`}
            ${actor === null ? sql`` : sql`AND actor = ${actor}`}
          ORDER BY at DESC, id DESC LIMIT ${limit}`
        return rows.map(toAuditRow)
      }, REPORT_MS),
  }
}

async function sum(sql: Sql, query: UsageQuery): Promise<readonly UsageSum[]> {
  const columns = query.by.map(group => COLUMNS[group])
  const places = columns.map((_, index) => index + 1).join(', ')
  const picked = columns.map((column, index) => `${column} AS g${index}`).join(', ')
  // Names of columns come from the table above; values never stand in this text.
  const rows: RawRow[] = await sql`
    SELECT ${sql.unsafe(picked)},
      SUM(CASE WHEN parent IS NULL THEN 1 ELSE 0 END) AS requests,
      SUM(CASE WHEN parent IS NULL THEN input_tokens ELSE 0 END) AS input,
      SUM(CASE WHEN parent IS NULL THEN cache_read_tokens ELSE 0 END) AS cache_read,
      SUM(CASE WHEN parent IS NULL THEN cache_write_tokens ELSE 0 END) AS cache_write,
      SUM(CASE WHEN parent IS NULL THEN output_tokens ELSE 0 END) AS output,
      SUM(CASE WHEN parent IS NULL THEN reasoning_tokens ELSE 0 END) AS reasoning,
      SUM(saved_tokens) AS saved, SUM(cost_nano) AS cost, SUM(extra_cost_nano) AS extra, SUM(saved_nano) AS saved_cost,
      SUM(CASE WHEN parent IS NULL THEN estimated ELSE 0 END) AS estimated,
      SUM(CASE WHEN outcome = 'lost' THEN 1 ELSE 0 END) AS lost,
      SUM(CASE WHEN parent IS NULL AND cost_nano IS NULL THEN 1 ELSE 0 END) AS unpriced
    FROM requests
    WHERE day >= ${query.from} AND day <= ${query.to}
      ${query.tenant === null ? sql`` : sql`AND tenant = ${query.tenant}`}
      ${query.key === null ? sql`` : sql`AND key_id = ${query.key}`}
      ${query.model === null ? sql`` : sql`AND model = ${query.model}`}
      ${query.server === null ? sql`` : sql`AND server = ${query.server}`}
    GROUP BY ${sql.unsafe(places)} ORDER BY ${sql.unsafe(places)}
    LIMIT ${query.limit} OFFSET ${query.offset}`
  return rows.map(row => toSum(row, columns.length))
}

async function named(sql: Sql, { of, tenant, key, offset, limit }: NamedQuery): Promise<readonly Named[]> {
  const rows: RawRow[] = await sql`
    SELECT tenant, key_id, id, first_seen, last_seen, requests, tokens FROM ${of === 'users' ? sql`users` : sql`sessions`}
    WHERE 1 = 1
      ${tenant === null ? sql`` : sql`AND tenant = ${tenant}`}
      ${key === null ? sql`` : sql`AND key_id = ${key}`}
    ORDER BY last_seen DESC, tenant, key_id, id LIMIT ${limit} OFFSET ${offset}`
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

function toSum(row: RawRow, groups: number): UsageSum {
  const number = (name: string) => Number(row[name] ?? 0)
  return {
    groups: Array.from({ length: groups }, (_, index) => {
      const value = row[`g${index}`]
      return value == null ? null : String(value)
    }),
    requests: number('requests'),
    input: number('input'),
    cacheRead: number('cache_read'),
    cacheWrite: number('cache_write'),
    output: number('output'),
    reasoning: number('reasoning'),
    saved: number('saved'),
    costNano: number('cost'),
    extraNano: number('extra'),
    savedNano: number('saved_cost'),
    estimated: number('estimated'),
    lost: number('lost'),
    unpriced: number('unpriced'),
  }
}
