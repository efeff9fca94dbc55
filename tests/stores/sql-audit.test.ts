import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Database } from '#stores/sql.ts'
import { createSqlUpkeep } from '#stores/sql-audit.ts'
import { openAt } from '#tests/contract/database.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'

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

describe.each([
  ['SQLite', sqlitePlaces],
  ['Postgres', postgresPlaces],
] as const)('the heads of the chains in %s', (_, open) => {
  async function withDatabase(run: (database: Database) => Promise<void>): Promise<void> {
    const places = await open()
    const database = openAt(await places.place())
    await run(database)
    await database.close()
    await places.close()
  }

  test('are the last rows of each, or those before a time', () =>
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

  test('are found without reading the log', () =>
    withDatabase(async database => {
      const { heads } = createSqlUpkeep(database)
      await grow(database, 'a', 50_000)
      await grow(database, 'b', 50_000)
      const took = async (run: () => Promise<unknown>) => {
        let best = Infinity
        for (let round = 0; round < 5; round++) {
          const since = performance.now()
          await run()
          best = Math.min(best, performance.now() - since)
        }
        return best
      }
      const reading = await took(() => database.read(sql => sql`SELECT SUM(length(detail)) AS sum FROM audit`))

      expect(await took(() => heads())).toBeLessThan(reading / 2)
    }))
})
