import { expect, setDefaultTimeout, test } from 'bun:test'
import type { LedgerRow } from '#core/ledger.ts'
import type { NamedQuery, UsageQuery } from '#core/reports.ts'
import { createIds } from '#lib/id.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlReports } from '#stores/sql-reports.ts'
import { openAt } from '#tests/contract/database.ts'
import { rowOf } from '#tests/contract/ledger.ts'
import { sqlitePlaces } from '#tests/support/databases.ts'
import { withPlans } from '#tests/support/plans.ts'
import { summed } from '#tests/support/summed.ts'
import { countTurns } from '#tests/support/turns.ts'

setDefaultTimeout(60_000)

const DAY_MS = 86_400_000
const FIRST = Date.UTC(2026, 0, 1)
const ROWS = 30_000

test('the sums of usage are the same while other work runs, and equal those of the requests', async () => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  const newId = createIds()
  const rows = Array.from({ length: ROWS }, (_, n): LedgerRow => {
    const startedAt = FIRST + Math.floor((n * 4 * DAY_MS) / ROWS)
    const id = newId(startedAt)
    return rowOf(n % 10 === 9 ? `${id}.1` : id, n % 7 === 0 ? null : n, {
      parent: n % 10 === 9 ? id : null,
      tenant: n % 3 === 0 ? 'other' : 'shop',
      key_id: `k${n % 5}`,
      model: n % 11 === 0 ? null : `m${n % 4}`,
      user_id: `u${n % 1000}`,
      session_id: `c${(n * 7919) % ROWS}`,
      day: new Date(startedAt).toISOString().slice(0, 10),
      server: n % 11 === 0 ? null : `s${n % 6}`,
      ...{ input_tokens: n % 13, cache_read_tokens: n % 5, cache_write_tokens: n % 7, output_tokens: n % 17 },
      ...{ reasoning_tokens: n % 3, saved_tokens: n % 23, saved_nano: n % 29 },
      extra_cost_nano: n % 31 === 0 ? null : n % 37,
      outcome: n % 19 === 0 ? 'lost' : 'ok',
      estimated: n % 19 === 0 ? 1 : 0,
    })
  })
  for (let at = 0; at < ROWS; at += 500) {
    const batch = rows.slice(at, at + 500)
    await database.write(sql => sql`INSERT INTO requests ${sql(batch)}`)
  }
  const [beside, atOnce] = [
    createSqlReports(database, { inProcess: true }),
    createSqlReports(database, { inProcess: false }),
  ]
  const query: UsageQuery = {
    ...{ tenant: null, by: ['day', 'model'], from: '2026-01-02', to: '2026-01-03', key: null, model: null },
    ...{ server: null, after: null, limit: 1000 },
  }
  const queries: UsageQuery[] = [
    query,
    { ...query, tenant: 'shop', by: ['key', 'model'], from: '2025-12-01', to: '2026-02-01' },
    { ...query, tenant: 'shop', key: 'k2', by: ['day', 'model'] },
    { ...query, key: 'k2', by: ['tenant'] },
    { ...query, server: 's1', by: ['server', 'tenant'], after: ['s1', 'other'] },
    { ...query, limit: 3, by: ['model', 'key', 'session'] },
    // More of them than are kept beside the page: the first of all stand anywhere.
    { ...query, limit: 3, by: ['session'] },
    { ...query, limit: 3, by: ['session'], after: ['c15'] },
    { ...query, tenant: 'shop', model: 'm1', by: ['user'], after: ['u41'], limit: 30 },
    { ...query, from: '2027-01-01', to: '2027-01-31' },
  ]

  for (const each of queries) {
    const sums = summed(rows, each)
    expect(await beside.usage(each)).toEqual(sums)
    expect(await atOnce.usage(each)).toEqual(sums)
  }

  const stop = countTurns()
  await beside.usage({ ...query, by: ['day'] })
  const turns = stop()
  // Half of the requests are of those days, and no more than 5,000 are read at once.
  expect(turns).toBeGreaterThanOrEqual(3)
  await database.close()
  await places.close()
})

test.each([
  ['comes', 'INSERT'],
  ['goes', 'DELETE'],
])('while usage is summed up and a request %s, no other one counts twice or never', async (_, change) => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  const newId = createIds()
  const day = new Date(FIRST).toISOString().slice(0, 10)
  const rows = Array.from(
    { length: 12_000 },
    (_each, n): LedgerRow => rowOf(newId(FIRST + n), 1, { tenant: 'shop', model: 'm', day, started_at: FIRST + n }),
  )
  for (let at = 0; at < rows.length; at += 500) {
    const batch = rows.slice(at, at + 500)
    await database.write(sql => sql`INSERT INTO requests ${sql(batch)}`)
  }
  let reads = 0
  const busy: Database = {
    ...database,
    async read(run, ms) {
      // Before the second of the two questions about the first page.
      if (++reads === 2) {
        const early = [rowOf(newId(FIRST), 1, { tenant: 'shop', model: 'm', day, started_at: FIRST })]
        if (change === 'INSERT') await database.write(sql => sql`INSERT INTO requests ${sql(early)}`)
        else await database.write(sql => sql`DELETE FROM requests WHERE id = ${rows[0]?.id ?? ''}`)
      }
      return database.read(run, ms)
    },
  }

  const [sum] = await createSqlReports(busy, { inProcess: true }).usage({
    ...{
      tenant: null,
      by: ['model'],
      from: day,
      to: day,
      key: null,
      model: null,
      server: null,
      after: null,
      limit: 10,
    },
  })

  expect(sum?.requests).toBe(rows.length + (change === 'INSERT' ? 1 : -1))
  await database.close()
  await places.close()
})

test.each(['users', 'sessions'] as const)('the lists of %s are the same while other work runs', async of => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  const rows = Array.from({ length: 22_000 }, (_, n) => ({
    ...{ tenant: n % 3 === 0 ? 'other' : 'shop', key_id: `k${n % 5}`, id: `${(n * 7919) % 100_003}` },
    // Many are seen at the same time.
    ...{ first_seen: 0, last_seen: (n * 31) % 500, requests: n, tokens: 1 },
  }))
  for (let at = 0; at < rows.length; at += 1000) {
    const part = rows.slice(at, at + 1000)
    await database.write(sql => sql`INSERT INTO ${sql.unsafe(of)} ${sql(part)}`)
  }
  const [beside, atOnce] = [
    createSqlReports(database, { inProcess: true }),
    createSqlReports(database, { inProcess: false }),
  ]
  const query: NamedQuery = { of, tenant: null, key: null, after: null, limit: 100 }
  const last = (await atOnce.named(query)).at(-1) ?? null
  const queries: NamedQuery[] = [
    query,
    { ...query, after: last },
    { ...query, tenant: 'shop' },
    { ...query, tenant: 'shop', key: 'k2', after: last },
    { ...query, key: 'k2', limit: 7 },
    { ...query, tenant: 'nobody' },
  ]

  for (const each of queries) expect(await beside.named(each)).toEqual(await atOnce.named(each))

  const stop = countTurns()
  await beside.named(query)
  expect(stop()).toBeGreaterThanOrEqual(4)
  await database.close()
  await places.close()
})

test('many users of one tenant are looked through once, not once for each page', async () => {
  const places = await sqlitePlaces()
  const place = await places.place()
  const written = openAt(place)
  await written.write(sql =>
    sql.unsafe(`
      INSERT INTO users SELECT 'shop', 'key', 'u' || n, 0, n, 1, 1
      FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 12000) SELECT n FROM c) AS s`),
  )
  const { database, plans, close } = withPlans(written, place)

  const found = await createSqlReports(database, { inProcess: true }).named({
    ...{ of: 'users', tenant: 'shop', key: null, after: null, limit: 2 },
  })

  expect(found.map(({ id }) => id)).toEqual(['u12000', 'u11999'])
  // Two questions a page, for its end and for what is in it, each from behind the page before.
  expect(plans).toHaveLength(6)
  for (const plan of plans) expect(plan).toMatch(/^SEARCH users USING .*\(\(tenant,key_id,id\)>/)
  for (const at of [1, 3]) expect(plans[at]).toContain('AND (tenant,key_id,id)<')
  close()
  await written.close()
  await places.close()
})

test.each([
  ['one tenant', null, /SEARCH requests USING .*\(id>\?/, '(id>? AND id<?)'],
  ['one key', 'web', /SEARCH requests USING .*requests_by_key \(.* AND day=\? AND rowid>\?/, 'rowid>? AND rowid<?)'],
])('many requests of %s are looked through once, not once for each page', async (_, key, search, ended) => {
  const places = await sqlitePlaces()
  const place = await places.place()
  const written = openAt(place)
  const newId = createIds()
  const day = new Date(FIRST).toISOString().slice(0, 10)
  const rows = Array.from({ length: 12_000 }, (_each, n) => rowOf(newId(FIRST + n), 1, { tenant: 'shop', day }))
  for (let at = 0; at < rows.length; at += 500) {
    const batch = rows.slice(at, at + 500)
    await written.write(sql => sql`INSERT INTO requests ${sql(batch)}`)
  }
  const { database, plans, close } = withPlans(written, place)

  const [sum] = await createSqlReports(database, { inProcess: true }).usage({
    ...{ tenant: 'shop', by: ['tenant'], from: day, to: day, key, model: null, server: null, after: null },
    limit: 10,
  })

  expect(sum?.requests).toBe(rows.length)
  const pages = plans.slice(0, 6)
  for (const plan of pages) expect(plan).toMatch(search)
  // Behind the last day of a key there is one more look whether it has another one.
  expect(plans.slice(6).map(plan => plan.includes('day>? AND day<?'))).toEqual(key === null ? [] : [true])
  for (const at of [1, 3]) expect(plans[at]).toContain(ended)
  close()
  await written.close()
  await places.close()
})
