import { expect, setDefaultTimeout, test } from 'bun:test'
import type { AuditQuery } from '#core/reports.ts'
import { createSqlReports } from '#stores/sql-reports.ts'
import { openAt } from '#tests/contract/database.ts'
import { sqlitePlaces } from '#tests/support/databases.ts'
import { countTurns } from '#tests/support/turns.ts'

setDefaultTimeout(60_000)

test('the rows of the audit log are the requested ones, also while other work runs', async () => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  await database.write(sql =>
    sql.unsafe(`
      INSERT INTO audit SELECT 'id-' || (n * 7919 % 100003), CASE WHEN n % 3 = 0 THEN 'other' ELSE 'shop' END, n / 5,
        CASE WHEN n % 1000 < 2 THEN 'administration' ELSE 'batch' END, 'did', CASE WHEN n % 900 = 0 THEN 'ann' END, NULL, NULL,
        NULL, 'ok', NULL, '{}', 'chain', n, 'prev', 'hash-' || n
      FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 22000) SELECT n FROM c) AS s`),
  )
  const rows = Array.from({ length: 22_000 }, (_, index) => index + 1)
    .map(n => ({
      ...{ id: `id-${(n * 7919) % 100_003}`, tenant: n % 3 === 0 ? 'other' : 'shop', at: Math.floor(n / 5) },
      ...{ kind: n % 1000 < 2 ? 'administration' : 'batch', actor: n % 900 === 0 ? 'ann' : null },
    }))
    .sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
  /** What a query asks for, found without a database. */
  const meant = ({ tenant, kind, actor, from, to, after, limit }: AuditQuery) =>
    rows
      .slice(after === null ? 0 : rows.findIndex(({ id }) => id === after.id) + 1)
      .filter(row => row.at >= from && row.at < to && (tenant === null || row.tenant === tenant))
      .filter(row => (kind === null || row.kind === kind) && (actor === null || row.actor === actor))
      .slice(0, limit)
      .map(({ id }) => id)
  const [beside, atOnce] = [
    createSqlReports(database, { inProcess: true }),
    createSqlReports(database, { inProcess: false }),
  ]
  const query: AuditQuery = {
    ...{ tenant: null, kind: 'administration', actor: null, from: 0, to: 10_000, after: null, limit: 100 },
  }
  const middle = (await atOnce.audit(query))[20] ?? null
  const queries: AuditQuery[] = [
    query,
    // Of one page of those that are looked through, and of several.
    { ...query, limit: 7 },
    { ...query, limit: 25 },
    { ...query, after: middle },
    { ...query, after: middle, limit: 5 },
    { ...query, tenant: 'shop' },
    { ...query, kind: null, tenant: 'other', after: middle, limit: 30 },
    { ...query, kind: null, actor: 'ann' },
    { ...query, kind: 'batch', limit: 30 },
    { ...query, kind: null, after: middle, limit: 30 },
    { ...query, from: 1000, to: 3000 },
    { ...query, kind: null, from: 1000, to: 1002 },
    { ...query, kind: 'health' },
  ]

  for (const each of queries) {
    const ids = meant(each)
    expect((await beside.audit(each)).map(({ id }) => id)).toEqual(ids)
    expect((await atOnce.audit(each)).map(({ id }) => id)).toEqual(ids)
  }
  expect(meant(query)).toHaveLength(44)

  const stop = countTurns()
  await beside.audit(query)
  expect(stop()).toBeGreaterThanOrEqual(4)
  await database.close()
  await places.close()
})
