import { join } from 'node:path'
import type { DatabasePlace } from '#stores/sql.ts'
import type { Places } from '#tests/contract/database.ts'
import { startPostgres } from '#tests/support/postgres.ts'
import { ownFolder } from '#tests/support/server-process.ts'

/** Databases in files of a temporary folder. */
export async function sqlitePlaces(): Promise<Places> {
  const folder = await ownFolder('citadel-sqlite-')
  let made = 0
  return {
    place: async () => ({ kind: 'sqlite', file: join(folder.path, `${++made}`, 'citadel.db') }),
    close: folder.remove,
  }
}

/** Databases in one real Postgres. */
export async function postgresPlaces(): Promise<Places> {
  const postgres = await startPostgres()
  return {
    place: async (): Promise<DatabasePlace> => ({ kind: 'postgres', url: await postgres.database() }),
    close: () => postgres[Symbol.asyncDispose](),
  }
}
