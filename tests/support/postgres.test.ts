import { expect, test } from 'bun:test'
import { SQL } from 'bun'
import { startPostgres } from '#tests/support/postgres.ts'

async function tables(url: string): Promise<string[]> {
  const sql = new SQL({ url, max: 1 })
  try {
    const rows: { tablename: string }[] = await sql`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
    return rows.map(({ tablename }) => tablename)
  } finally {
    await sql.close()
  }
}

test('a Postgres of our own keeps its databases apart, and its data over a power cut', async () => {
  await using postgres = await startPostgres()
  const [one, two] = [await postgres.database(), await postgres.database()]
  const sql = new SQL({ url: one, max: 1 })
  await sql`CREATE TABLE kept (id TEXT)`
  await sql.close()

  await postgres.kill()
  await expect(tables(one)).rejects.toThrow()
  await postgres.start()

  expect(await tables(one)).toEqual(['kept'])
  expect(await tables(two)).toEqual([])
}, 60_000)
