import { databasePlace } from '#config/places.ts'
import { ConfigError } from '#config/problems.ts'
import { GatewayError } from '#core/errors.ts'
import { createJournal } from '#core/journal.ts'
import { composeDatabase } from '#src/compose/state.ts'
import type { Database, SqlOptions } from '#stores/sql.ts'
import { sqliteIsMissing } from '#stores/sql-place.ts'
import { failCommand } from './failure.ts'
import type { Settled } from './options.ts'
import { CommandFailed, EXIT, fail } from './output.ts'

/** The configured database, for one task. */
export function sqlOf({ config, env }: Pick<Settled, 'config' | 'env'>): SqlOptions {
  const { timeout, pool } = config.database
  return { place: databasePlace(config, env), timeoutMs: timeout, pool }
}

/** The configured SQLite file if it does not exist yet; `null` if it exists, or if the database is no file. */
export function missingFile({ config, env }: Pick<Settled, 'config' | 'env'>): string | null {
  const place = databasePlace(config, env)
  return place.kind === 'sqlite' && sqliteIsMissing(place) ? place.file : null
}

/** Makes sure that the database exists: a command must not create an empty one beside the gateway's own.
 *
 * @throws CommandFailed when there is none. */
export function mustBeThere(settled: Pick<Settled, 'config' | 'env'>): void {
  const file = missingFile(settled)
  if (file === null) return
  throw new CommandFailed(
    `there is no database at ${file}. Give the gateway's --config, and run as its user or set service.data_dir`,
    EXIT.unavailable,
  )
}

/** Opens the database of a configuration, runs `work` on it, and closes it.
 *
 * @returns The exit status, of `work` where there is a place for a database. */
export async function withDatabase(
  { config, env }: Pick<Settled, 'config' | 'env'>,
  work: (database: Database) => Promise<number>,
): Promise<number> {
  const database = composeDatabase({ journal: createJournal([]), env, config: () => config })
  if (database === null) return fail('there is no place for a database: set service.data_dir or HOME', EXIT.config)
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

/** Reports why a command on the database failed. */
export function failDatabase(thrown: unknown): number {
  if (thrown instanceof ConfigError || thrown instanceof CommandFailed || thrown instanceof TypeError) {
    return failCommand(thrown)
  }
  if (thrown instanceof GatewayError && thrown.code !== 'dependency_unavailable') {
    return fail(thrown.message, EXIT.failure)
  }
  const cause = thrown instanceof GatewayError ? thrown.cause : thrown
  const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '')
  // Drivers only say `Failed to connect`; the checks of the doctor explain each reason.
  return fail(
    `the database cannot be used: ${reason}. Try: citadel doctor --no-calls, with the same --config`,
    EXIT.unavailable,
  )
}
