import { expect, test } from 'bun:test'
import { createMemoryKeys } from '#stores/memory-keys.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlKeys } from '#stores/sql-keys.ts'
import { openAt, type Places } from '#tests/contract/database.ts'
import { keysContract, newKey } from '#tests/contract/keys.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'

/** Stores in databases of their own. */
async function sqlStores(places: Places) {
  const open: Database[] = []
  return {
    async create() {
      const database = openAt(await places.place())
      open.push(database)
      return createSqlKeys(database)
    },
    async close() {
      for (const database of open) await database.close()
      await places.close()
    },
  }
}

keysContract('keys in memory', async () => ({ create: async () => createMemoryKeys(), close: async () => {} }))
keysContract('keys in SQLite', async () => sqlStores(await sqlitePlaces()))
keysContract('keys in Postgres', async () => sqlStores(await postgresPlaces()))

test('a database that lost its last change gives the next change another version', async () => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  let time = Date.now()
  const store = createSqlKeys(database, () => time++)
  const [old, lost, next] = [newKey(), newKey(), newKey()]
  await store.change({ kind: 'create', ...old })
  const [before] = await database.read(
    sql => sql<{ version: bigint }>`SELECT version FROM versions WHERE subject = 'keys'`,
  )
  await store.change({ kind: 'create', ...lost })
  const heard = await store.state()
  // As after a failover to a replica that was behind.
  await database.write(async sql => {
    await sql`UPDATE versions SET version = ${before?.version} WHERE subject = 'keys'`
    await sql`DELETE FROM keys WHERE id = ${lost.key.id}`
  })

  await store.change({ kind: 'create', ...next })

  expect((await store.state()).version).not.toBe(heard.version)
  await database.close()
  await places.close()
})
