import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { toRow } from '#gateway/ledger/row.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlUpkeep } from '#stores/sql-audit.ts'
import { openAt } from '#tests/contract/database.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'
import { withPlans, withRowsRead } from '#tests/support/plans.ts'
import { recordOf } from '#tests/support/records.ts'
import { countTurns } from '#tests/support/turns.ts'

setDefaultTimeout(60_000)

/** Adds rows 1 to `rows` of a chain, one a millisecond. */
function grow(database: Database, chain: string, rows: number): Promise<unknown> {
  return database.write(sql =>
    sql.unsafe(`
      INSERT INTO audit SELECT '${chain}-' || n, 'default', n, 'batch', 'sealed', NULL, NULL, NULL, NULL, 'ok', NULL,
        '{}', '${chain}', n, 'prev', 'hash-' || n
      FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${rows}) SELECT n FROM c) AS s`),
  )
}

test('only one process leads at a time, also after clocks were corrected', async () => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  const { lead } = createSqlUpkeep(database)
  const [now, ahead] = [Date.UTC(2026, 0, 1), Date.UTC(2030, 0, 1)]
  const led = [await lead('a', ahead, 1000), await lead('b', ahead + 999, 1000)]
  const later = [await lead('b', now, 1000), await lead('a', now, 1000), await lead('c', now - 500, 1000)]
  const last = [await lead('a', now + 1000, 1000), await lead('b', now + 1001, 1000)]
  await database.close()
  await places.close()

  // Clocks that differ a little are right.
  expect([led, later, last]).toEqual([
    [true, false],
    [true, false, false],
    [true, false],
  ])
})

test('what is old is removed once in a while, whoever asks, also after clocks were set right', async () => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  const { isTrimDue, lead } = createSqlUpkeep(database)
  const [now, ahead] = [Date.UTC(2026, 0, 1), Date.UTC(2030, 0, 1)]
  const asked = [await isTrimDue('a', ahead, 1000), await isTrimDue('a', ahead + 999, 1000)]
  const later = [await isTrimDue('b', now, 1000), await isTrimDue('a', now + 999, 1000), await lead('a', now, 1000)]
  const last = [await isTrimDue('a', now + 1000, 1000), await isTrimDue('b', now + 1000, 1000)]
  await database.close()
  await places.close()

  expect([asked, later, last]).toEqual([
    [true, false],
    [true, false, true],
    [true, false],
  ])
})

/** Adds users or sessions that were last seen at 100. */
function addNamed(database: Database, table: 'users' | 'sessions', rows: number): Promise<unknown> {
  return database.write(sql =>
    sql.unsafe(`
      INSERT INTO ${table} SELECT 'default', 'key', 'u' || n, 0, 100, 1, 1
      FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${rows}) SELECT n FROM c) AS s`),
  )
}

/** Adds requests that end at 1 to `rows`, each with the seal of that number of a chain. */
function addRequests(database: Database, chain: string, rows: number): Promise<unknown> {
  const row = { ...toRow(recordOf({}), 0, null) }
  return database.write(async sql => {
    for (let at = 1; at <= rows; at += 200) {
      const batch = Array.from({ length: Math.min(200, rows + 1 - at) }, (_, index) => {
        const n = at + index
        return { ...row, id: `0${String(n).padStart(6, '0')}`, started_at: 0, ended_at: n, batch: `${chain}-${n}` }
      })
      await sql`INSERT INTO requests ${sql(batch)}`
    }
  })
}

describe.each([
  ['SQLite', sqlitePlaces],
  ['Postgres', postgresPlaces],
] as const)('the log in %s', (_, open) => {
  async function withDatabase(run: (database: Database) => Promise<void>): Promise<void> {
    const places = await open()
    const database = openAt(await places.place())
    await run(database)
    await database.close()
    await places.close()
  }

  const count = async (database: Database, of: 'audit' | 'requests') => {
    const rows: { n: bigint }[] = await database.read(sql => sql`SELECT COUNT(*) AS n FROM ${sql.unsafe(of)}`)
    return Number(rows[0]?.n)
  }

  test('is trimmed in steps that do not block the event loop', () =>
    withDatabase(async database => {
      await grow(database, 'old', 1200)
      await addRequests(database, 'old', 1300)
      const stop = countTurns()
      const written: number[] = []
      const watched: Database = {
        ...database,
        write: async run => {
          const before = (await count(database, 'audit')) + (await count(database, 'requests'))
          const result = await database.write(run)
          written.push(before - (await count(database, 'audit')) - (await count(database, 'requests')))
          return result
        },
      }

      await createSqlUpkeep(watched).trim([{ chain: 'old', seq: 1100, hash: 'hash-1100' }], 1101, '')
      const turns = stop()

      // What is sealed still, or was over later, stays.
      expect([await count(database, 'audit'), await count(database, 'requests')]).toEqual([100, 200])
      expect(Math.max(...written)).toBeLessThanOrEqual(500)
      expect(written.length).toBeLessThan(20)
      expect(turns).toBeGreaterThanOrEqual(written.length - 1)
    }))

  test.each(['users', 'sessions'] as const)('and its %s are trimmed in small steps', table =>
    withDatabase(async database => {
      const rows = Array.from({ length: 1300 }, (_, n) => ({
        ...{ tenant: `t${n % 2}`, key_id: `k${n % 3}`, id: `${n * 7919}`, first_seen: 0, requests: 1, tokens: 1 },
        last_seen: n % 2 === 0 ? 50 : 100 + n,
      }))
      await database.write(sql => sql`INSERT INTO ${sql.unsafe(table)} ${sql(rows)}`)
      const left = async () => {
        const found: { last_seen: bigint }[] = await database.read(
          sql => sql`SELECT last_seen FROM ${sql.unsafe(table)} ORDER BY last_seen`,
        )
        return found.map(row => Number(row.last_seen))
      }
      const removed: number[] = []
      const watched: Database = {
        ...database,
        write: async run => {
          const before = (await left()).length
          const result = await database.write(run)
          removed.push(before - (await left()).length)
          return result
        },
      }

      const stop = countTurns()
      await createSqlUpkeep(watched).trim([], 100, '')
      const turns = stop()
      const writes = removed.length
      await createSqlUpkeep(watched).trim([], 100, '')

      expect(await left()).toEqual(rows.map(({ last_seen }) => last_seen).filter(at => at >= 100))
      expect(Math.max(...removed)).toBeLessThanOrEqual(500)
      // After each page, also where it is none of the old.
      expect(turns).toBeGreaterThanOrEqual(3)
      // Where nothing is old nobody is kept from writing: the second time for the budgets alone.
      expect(removed.length).toBe(writes + 1)
    }),
  )

  test('and the budgets of past months are removed, but not those of this month and its days', () =>
    withDatabase(async database => {
      const periods = ['2025-11', '2025-11-30', '2025-12', '2025-12-01', '2026-01']
      const rows = periods.map(period => ({ account: 'a', tenant: 't', period, spent: 1, held: 0 }))
      await database.write(sql => sql`INSERT INTO budgets ${sql(rows)}`)

      await createSqlUpkeep(database).trim([], 0, '2025-12')

      const left: { period: string }[] = await database.read(sql => sql`SELECT period FROM budgets`)
      expect(left.map(({ period }) => period).sort()).toEqual(['2025-12', '2025-12-01', '2026-01'])
    }))

  test('is trimmed within the timeout, however many rows stay', () =>
    withDatabase(async database => {
      // More than Postgres would keep in its memory.
      const chain = 'kept'.repeat(100)
      await grow(database, chain, 30_000)
      await addRequests(database, chain, 4000)
      await database.write(sql => sql.unsafe('ANALYZE'))

      await createSqlUpkeep(database).trim([{ chain, seq: 2000, hash: '' }], 4001, '')

      expect([await count(database, 'audit'), await count(database, 'requests')]).toEqual([28_000, 2000])
    }))

  test('gives the last row of each chain, or the last one before a time', () =>
    withDatabase(async database => {
      const { heads } = createSqlUpkeep(database)
      const empty = [await heads(), await heads(5)]
      for (const [chain, rows] of [
        ['b', 7],
        ['a', 3],
        ['c', 20],
      ] as const)
        await grow(database, chain, rows)
      const told = (found: Awaited<ReturnType<typeof heads>>) =>
        found.map(({ chain, seq, hash }) => `${chain} ${seq} ${hash}`)

      expect(empty).toEqual([[], []])
      expect(told(await heads())).toEqual(['a 3 hash-3', 'b 7 hash-7', 'c 20 hash-20'])
      expect(told(await heads(5))).toEqual(['a 3 hash-3', 'b 4 hash-4', 'c 4 hash-4'])
      expect(told(await heads(1))).toEqual([])
    }))
})

describe('what the upkeep reads in SQLite', () => {
  async function plansOf(
    fill: (database: Database) => Promise<unknown>,
    run: (database: Database) => Promise<unknown>,
  ) {
    const places = await sqlitePlaces()
    const place = await places.place()
    const written = openAt(place)
    await fill(written)
    const { database, plans, close } = withPlans(written, place)
    await run(database)
    close()
    await written.close()
    await places.close()
    return plans
  }

  test.each(['users', 'sessions'] as const)(
    '%s are looked through once, each page from behind the last',
    async table => {
      const plans = await plansOf(
        database => addNamed(database, table, 1200),
        database => createSqlUpkeep(database).trim([], 100, ''),
      )

      // Two questions for each of three pages: for its end, and for whether anything in it is old.
      const own = plans.filter(plan => plan.includes(` ${table} `))
      expect(own).toHaveLength(6)
      for (const plan of own) expect(plan).toMatch(new RegExp(`SEARCH ${table} USING .*\\(\\(tenant,key_id,id\\)>`))
    },
  )

  test('the heads of the chains are found by the index, not by reading the log', async () => {
    const plans = await plansOf(
      database => grow(database, 'a', 1000),
      database => createSqlUpkeep(database).heads(),
    )

    expect(plans).toHaveLength(1)
    expect(plans[0]).toContain('SEARCH audit USING')
    expect(plans[0]).not.toMatch(/SCAN (audit|last)\b/)
  })
})

describe('what the upkeep reads in Postgres', () => {
  async function rowsOf(fill: (database: Database) => Promise<unknown>, run: (database: Database) => Promise<unknown>) {
    const places = await postgresPlaces()
    const written = openAt(await places.place())
    await fill(written)
    // As autovacuum does soon; the plans depend on it.
    await written.write(sql => sql.unsafe('ANALYZE'))
    const { database, rows } = withRowsRead(written)
    await run(database)
    await written.close()
    await places.close()
    return rows()
  }

  test.each(['users', 'sessions'] as const)('%s are looked through once, not once for each page', async table => {
    const rows = await rowsOf(
      database => addNamed(database, table, 20_000),
      database => createSqlUpkeep(database).trim([], 100, ''),
    )

    // Each page is read for its end, and for whether anything in it is old.
    expect(rows).toBeGreaterThan(20_000)
    expect(rows).toBeLessThan(3 * 20_000)
  })

  test('the heads of the chains are found by the index, not by reading the log', async () => {
    const rows = await rowsOf(
      async database => {
        for (const chain of ['a', 'b']) await grow(database, chain, 10_000)
      },
      database => createSqlUpkeep(database).heads(),
    )

    expect(rows).toBeGreaterThan(0)
    expect(rows).toBeLessThan(100)
  })
})
