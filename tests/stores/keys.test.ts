import { createMemoryKeys } from '#stores/memory-keys.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlKeys } from '#stores/sql-keys.ts'
import { openAt, type Places } from '#tests/contract/database.ts'
import { keysContract } from '#tests/contract/keys.ts'
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
