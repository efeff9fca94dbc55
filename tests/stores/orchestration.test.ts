import { expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync } from 'node:fs'
import type { FleetEvent } from '#core/events.ts'
import { createIds } from '#lib/id.ts'
import { createMemoryCursors } from '#stores/memory-cursors.ts'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { createMemoryInFlight } from '#stores/memory-in-flight.ts'
import { createMemoryServers } from '#stores/memory-servers.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlCursors } from '#stores/sql-cursors.ts'
import { createSqlEvents } from '#stores/sql-events.ts'
import { createSqlInFlight } from '#stores/sql-in-flight.ts'
import { createSqlServers } from '#stores/sql-servers.ts'
import { openAt, type Places } from '#tests/contract/database.ts'
import { cursorsContract, eventsContract, inFlightContract, seen } from '#tests/contract/events.ts'
import { serversContract } from '#tests/contract/servers.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'

// Servers have to be started.
setDefaultTimeout(60_000)

const newId = createIds()
const createEvents = (database: Database) => createSqlEvents(database, newId)

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
  inMemory(() => createMemoryEvents({ entriesMax: 100, newId })),
)
eventsContract('events in SQLite', async () => sqlStores(await sqlitePlaces(), createEvents))
eventsContract('events in Postgres', async () => sqlStores(await postgresPlaces(), createEvents))
cursorsContract('cursors in memory', inMemory(createMemoryCursors))
cursorsContract('cursors in SQLite', async () => sqlStores(await sqlitePlaces(), createSqlCursors))
cursorsContract('cursors in Postgres', async () => sqlStores(await postgresPlaces(), createSqlCursors))
inFlightContract('requests in flight in memory', inMemory(createMemoryInFlight))
inFlightContract('requests in flight in SQLite', async () => sqlStores(await sqlitePlaces(), createSqlInFlight))
inFlightContract('requests in flight in Postgres', async () => sqlStores(await postgresPlaces(), createSqlInFlight))

test('the database file is created by the first event that changes something, and not before', async () => {
  const places = await sqlitePlaces()
  const place = await places.place()
  const file = place.kind === 'sqlite' ? (place.file ?? '') : ''
  const database = openAt(place)
  const events = createEvents(database)

  const kept = [await events.add([seen(1, { state: 'healthy' })])]
  const made = [existsSync(file)]
  kept.push(await events.add([seen(2)]))
  made.push(existsSync(file))
  await database.close()
  await places.close()

  expect(kept.map(({ length }) => length)).toEqual([0, 1])
  expect(made).toEqual([false, true])
})

test.each([
  ['SQLite', sqlitePlaces],
  ['Postgres', postgresPlaces],
] as const)('nothing is kept for ever of a server that has left, in %s', async (_, open) => {
  const places = await open()
  const database = openAt(await places.place())
  const events = createEvents(database)
  const series = 'membership:a'
  const departed = { type: 'server_departed', at: 2, server: 'a', data: {} } as const
  const month = 31 * 86_400_000

  await events.add([seen(1)])
  await events.add([seen(2, { series, event: departed, state: 'departed', initially: 'registered' })])
  await events.add([seen(month, { event: { ...seen(month).event, server: 'b' } })])
  await events.add([seen(2 * month, { event: { ...seen(2 * month).event, server: 'c' } })])
  const kept = (await events.list({ after: '', limit: 10 })).map(({ server }) => server)
  await database.close()
  await places.close()

  expect(kept).toEqual(['b', 'c'])
})

test.each([
  ['SQLite', sqlitePlaces],
  ['Postgres', postgresPlaces],
] as const)('a page holds events, however many rows of a newer version lie before them, in %s', async (_, open) => {
  const places = await open()
  const database = openAt(await places.place())
  const events = createEvents(database)
  for (let n = 1; n <= 3; n++) await events.add([seen(n)])
  await database.write(sql => sql`UPDATE events SET type = 'of a newer version' WHERE at < 3`)

  const page = await events.list({ after: '', limit: 2 })
  await database.close()
  await places.close()

  expect(page.map(({ at }) => at)).toEqual([3])
})

test('in memory, the events of a server are dropped together with what was known of it', async () => {
  const events = createMemoryEvents({ entriesMax: 10, newId })
  const about = (server: string, type: FleetEvent['type'], state: string, initially: string) =>
    seen(1, { series: `${type}:${server}`, state, initially, event: { type, at: 1, server, data: {} } })
  const open: number[] = []

  for (const server of ['left', 'there']) await events.add([about(server, 'failover_initiated', 'on', 'off')])
  await events.add([about('left', 'server_departed', 'departed', 'registered')])
  for (const count of [7, 3]) {
    for (let n = 0; n < count; n++) await events.add([seen(2)])
    open.push((await events.open()).length)
  }

  expect(open).toEqual([2, 1])
})
