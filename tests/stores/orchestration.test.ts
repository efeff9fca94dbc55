import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { createMemoryServers } from '#stores/memory-servers.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlEvents } from '#stores/sql-events.ts'
import { createSqlServers } from '#stores/sql-servers.ts'
import { openAt, type Places } from '#tests/contract/database.ts'
import { eventsContract, seen } from '#tests/contract/events.ts'
import { serversContract } from '#tests/contract/servers.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'

/** Stores in databases of their own. */
async function sqlStores<T>(places: Places, create: (database: Database) => T) {
  const open: Database[] = []
  return {
    async create() {
      const database = openAt(await places.place())
      open.push(database)
      return create(database)
    },
    async close() {
      for (const database of open) await database.close()
      await places.close()
    },
  }
}

function inMemory<T>(create: () => T) {
  return async () => ({ create: async () => create(), close: async () => {} })
}

serversContract('servers in memory', inMemory(createMemoryServers))
serversContract('servers in SQLite', async () => sqlStores(await sqlitePlaces(), createSqlServers))
serversContract('servers in Postgres', async () => sqlStores(await postgresPlaces(), createSqlServers))
eventsContract(
  'events in memory',
  inMemory(() => createMemoryEvents({ entriesMax: 100 })),
)
eventsContract('events in SQLite', async () => sqlStores(await sqlitePlaces(), createSqlEvents))
eventsContract('events in Postgres', async () => sqlStores(await postgresPlaces(), createSqlEvents))

test('an event that changes nothing makes no database, one that does makes it', async () => {
  const places = await sqlitePlaces()
  const place = await places.place()
  const file = place.kind === 'sqlite' ? (place.file ?? '') : ''
  const database = openAt(place)
  const events = createSqlEvents(database)

  const kept = [await events.add(seen(1, { state: 'healthy' }))]
  const made = [existsSync(file)]
  kept.push(await events.add(seen(2)))
  made.push(existsSync(file))
  await database.close()
  await places.close()

  expect(kept).toEqual([false, true])
  expect(made).toEqual([false, true])
})
