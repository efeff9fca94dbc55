import { existsSync } from 'node:fs'
import type { DatabasePlace } from './sql.ts'

/** Whether a database is a SQLite file that does not exist yet. */
export function sqliteIsMissing(place: DatabasePlace): boolean {
  return place.kind === 'sqlite' && place.file !== null && !existsSync(place.file)
}
