import { parseArgs } from 'node:util'
import type { Environment } from '#config/env.ts'
import { configFiles, type Loaded, loadConfig, loadEnvironment } from '#config/load.ts'
import { providersFromEnv } from '#config/providers-from-env.ts'
import { composeProblems } from '#src/compose/fleet-config.ts'

/** How commands are told which configuration is meant. */
export const CONFIG_OPTIONS = {
  config: { type: 'string', short: 'c', multiple: true },
  'env-file': { type: 'string', multiple: true },
  host: { type: 'string' },
  port: { type: 'string', short: 'p' },
} as const

/** What `start` and `check` understand. */
export interface Options {
  readonly files: readonly string[]
  readonly envFiles: readonly string[]
  readonly host: string | undefined
  readonly port: string | undefined
}

/** Reads the command line.
 *
 * @throws TypeError for an unknown option. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: CONFIG_OPTIONS,
  })
  return {
    files: [...(values.config ?? []), ...positionals],
    envFiles: values['env-file'] ?? [],
    host: values.host,
    port: values.port,
  }
}

/** The configuration that a command line asks for. */
export interface Settled extends Loaded {
  readonly env: Environment
  /** The files that configure the gateway, without those that hold secrets. */
  readonly configFiles: readonly string[]
}

/** Loads the configuration that the command line, the environment and the working directory ask for.
 *
 * @throws ConfigError with everything that is wrong. */
export async function settle(options: Options): Promise<Settled> {
  const env = await loadEnvironment(options.envFiles, process.env)
  const files = configFiles(options.files, env)
  const loaded = await loadConfig({ files, env, flags: { host: options.host, port: options.port } })
  const { config } = loaded
  const empty = config.servers.length === 0 && Object.keys(config.models).length === 0
  const warnings = [
    ...loaded.warnings,
    ...composeProblems(config).warnings,
    ...(empty ? providersFromEnv(env).warnings : []),
  ]
  return { ...loaded, warnings, files: [...loaded.files, ...options.envFiles], env, configFiles: files }
}
