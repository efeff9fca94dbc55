import { join } from 'node:path'
import type { Environment } from './env.ts'
import type { Config } from './schema.ts'

/** The folder for state, as an absolute or relative path; `null` when neither the configuration nor the environment names
 * one. */
export function dataDir({ service }: Config, env: Environment): string | null {
  if (service.data_dir !== null) return service.data_dir
  // systemd names several folders, separated by colons, when a unit has several.
  const [state = ''] = (env.STATE_DIRECTORY ?? '').split(':')
  if (state !== '') return state
  if (env.XDG_DATA_HOME) return join(env.XDG_DATA_HOME, 'citadel')
  return env.HOME ? join(env.HOME, '.local', 'share', 'citadel') : null
}

/** Reads where the database is: an SQLite file (`null` = in memory), or a Postgres address. */
export function databasePlace(
  config: Config,
  env: Environment,
): { readonly kind: 'sqlite'; readonly file: string | null } | { readonly kind: 'postgres'; readonly url: string } {
  const { url } = config.database
  const [, path] = /^sqlite:(?:\/\/)?(.*)$/i.exec(url) ?? []
  if (path === undefined) return { kind: 'postgres', url }
  if (path === ':memory:') return { kind: 'sqlite', file: null }
  if (path !== '') return { kind: 'sqlite', file: path }
  const folder = dataDir(config, env)
  return { kind: 'sqlite', file: folder === null ? null : join(folder, 'citadel.db') }
}
