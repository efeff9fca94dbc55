import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { toRow } from '#gateway/ledger/row.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlUpkeep } from '#stores/sql-audit.ts'
import { openAt } from '#tests/contract/database.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'
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

/** The shortest of some times, in milliseconds. */
async function took(run: () => Promise<unknown>): Promise<number> {
  let best = Infinity
  for (let round = 0; round < 5; round++) {
    const since = performance.now()
    await run()
    best = Math.min(best, performance.now() - since)
  }
  return best
}

test('one leads at a time, also after clocks were set right', async () => {
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

  test('is trimmed in steps between which others have their turn', () =>
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
      expect(turns).toBeGreaterThanOrEqual(written.length - 1)
    }))

  test.each(['users', 'sessions'] as const)('and its %s are trimmed little by little', table =>
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

      await createSqlUpkeep(watched).trim([], 100, '')
      const writes = removed.length
      await createSqlUpkeep(watched).trim([], 100, '')

      expect(await left()).toEqual(rows.map(({ last_seen }) => last_seen).filter(at => at >= 100))
      expect(Math.max(...removed)).toBeLessThanOrEqual(500)
      // Where nothing is old nobody is kept from writing: the second time for the budgets alone.
      expect(removed.length).toBe(writes + 1)
    }),
  )

  test.each(['users', 'sessions'] as const)('and its %s, however many stay, are looked through once', table =>
    withDatabase(async database => {
      await database.write(sql =>
        sql.unsafe(`
          INSERT INTO ${table} SELECT 'default', 'key', 'u' || n, 0, 100, 1, 1
          FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000) SELECT n FROM c) AS s`),
      )
      const reading = await took(() => database.read(sql => sql.unsafe(`SELECT SUM(length(id)) AS sum FROM ${table}`)))

      // Once for each page would be two hundred times.
      expect(await took(() => createSqlUpkeep(database).trim([], 100, ''))).toBeLessThan(reading * 60)
    }),
  )

  test('and the budgets of months that are over go, but those of this month and its days stay', () =>
    withDatabase(async database => {
      const periods = ['2025-11', '2025-11-30', '2025-12', '2025-12-01', '2026-01']
      const rows = periods.map(period => ({ account: 'a', tenant: 't', period, spent: 1, held: 0 }))
      await database.write(sql => sql`INSERT INTO budgets ${sql(rows)}`)

      await createSqlUpkeep(database).trim([], 0, '2025-12')

      const left: { period: string }[] = await database.read(sql => sql`SELECT period FROM budgets`)
      expect(left.map(({ period }) => period).sort()).toEqual(['2025-12', '2025-12-01', '2026-01'])
    }))

  test('is trimmed in time, however much of it stays', () =>
    withDatabase(async database => {
      // More than Postgres would keep in its memory.
      const chain = 'kept'.repeat(100)
      await grow(database, chain, 30_000)
      await addRequests(database, chain, 4000)
      await database.write(sql => sql.unsafe('ANALYZE'))

      await createSqlUpkeep(database).trim([{ chain, seq: 2000, hash: '' }], 4001, '')

      expect([await count(database, 'audit'), await count(database, 'requests')]).toEqual([28_000, 2000])
    }))

  test('has heads, the last rows of each chain, or those before a time', () =>
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

  test('has heads that are found without reading it', () =>
    withDatabase(async database => {
      const { heads } = createSqlUpkeep(database)
      await grow(database, 'a', 50_000)
      await grow(database, 'b', 50_000)
      const reading = await took(() => database.read(sql => sql`SELECT SUM(length(detail)) AS sum FROM audit`))

      expect(await took(() => heads())).toBeLessThan(reading / 2)
    }))
})
