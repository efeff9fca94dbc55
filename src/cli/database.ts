import { parseArgs } from 'node:util'
import { databasePlace } from '#config/places.ts'
import { ConfigError } from '#config/problems.ts'
import { GatewayError } from '#core/errors.ts'
import { migrateSql, migrationsOf } from '#stores/sql-client.ts'
import { sqliteIsMissing } from '#stores/sql-place.ts'
import { type Settled, settle } from './options.ts'
import { CommandFailed, EXIT, fail, failUsage } from './output.ts'

/** How the commands that work on the database are told which one. */
export const DATABASE_OPTIONS = {
  config: { type: 'string', short: 'c', multiple: true },
  'env-file': { type: 'string', multiple: true },
} as const

/** Loads the configuration that names the database. */
export function settleFor(values: {
  readonly config?: readonly string[]
  readonly 'env-file'?: readonly string[]
}): Promise<Settled> {
  return settle({ files: values.config ?? [], envFiles: values['env-file'] ?? [], host: undefined, port: undefined })
}

/** The file of SQLite that nobody has made yet; `null` where there is one, or no file is needed. */
export function missingFile({ config, env }: Pick<Settled, 'config' | 'env'>): string | null {
  const place = databasePlace(config, env)
  return place.kind === 'sqlite' && sqliteIsMissing(place) ? place.file : null
}

/** Complains when there is no database to work on: the gateway's is elsewhere.
 *
 * @throws CommandFailed */
export function mustBeThere(settled: Pick<Settled, 'config' | 'env'>): void {
  const file = missingFile(settled)
  if (file === null) return
  throw new CommandFailed(
    `there is no database at ${file}. Give the gateway's --config, and run as its user or set service.data_dir`,
    EXIT.unavailable,
  )
}

/** Says why a command on the database failed. */
export function failDatabase(thrown: unknown): number {
  if (thrown instanceof ConfigError) return fail(`the configuration is wrong:\n${thrown.format()}`, EXIT.config)
  if (thrown instanceof CommandFailed) return fail(thrown.message, thrown.status)
  if (thrown instanceof TypeError) return failUsage(thrown)
  if (thrown instanceof GatewayError && thrown.code !== 'dependency_unavailable') {
    return fail(thrown.message, EXIT.failure)
  }
  const cause = thrown instanceof GatewayError ? thrown.cause : thrown
  return fail(
    `the database cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
    EXIT.unavailable,
  )
}

/** Brings the database up to date, or says whether it is. */
export async function migrate(args: readonly string[]): Promise<number> {
  try {
    const options = { ...DATABASE_OPTIONS, status: { type: 'boolean' } } as const
    const { values } = parseArgs({ args: [...args], options })
    const { config, env } = await settleFor(values)
    const { timeout, pool } = config.database
    const sql = { place: databasePlace(config, env), timeoutMs: timeout, pool }
    if (values.status !== true) {
      const applied = await migrateSql(sql)
      console.log(
        applied.length === 0 ? 'up to date' : applied.map(version => `${number(version)}  applied`).join('\n'),
      )
      return EXIT.ok
    }
    const states = await migrationsOf(sql)
    for (const { version, appliedAt } of states) {
      console.log(`${number(version)}  ${appliedAt === null ? 'pending' : new Date(appliedAt).toISOString()}`)
    }
    return states.some(({ appliedAt }) => appliedAt === null) ? EXIT.failure : EXIT.ok
  } catch (thrown) {
    return failDatabase(thrown)
  }
}

function number(version: number): string {
  return String(version).padStart(3, '0')
}
