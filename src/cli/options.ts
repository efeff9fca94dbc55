import { parseArgs } from 'node:util'
import type { Environment } from '#config/env.ts'
import { configFiles, type Loaded, loadConfig, loadEnvironment, readText } from '#config/load.ts'
import { ConfigError } from '#config/problems.ts'
import { providersFromEnv } from '#config/providers-from-env.ts'
import { EMPTIED, type ReadFile } from '#config/secrets.ts'

/** How commands are told which files configure the gateway. */
export const FILE_OPTIONS = {
  config: { type: 'string', short: 'c', multiple: true },
  'env-file': { type: 'string', multiple: true },
} as const

/** How commands are told which configuration is meant. */
export const CONFIG_OPTIONS = {
  ...FILE_OPTIONS,
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

/** What was said of it. */
export interface ConfigValues {
  readonly config?: readonly string[]
  readonly 'env-file'?: readonly string[]
  readonly host?: string
  readonly port?: string
}

/** The configuration that is meant by what was said. */
export function optionsOf({ config = [], 'env-file': envFiles = [], host, port }: ConfigValues): Options {
  return { files: config, envFiles, host, port }
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
  const options = optionsOf(values)
  return { ...options, files: [...options.files, ...positionals] }
}

/** The configuration that a command line asks for. */
export interface Settled extends Loaded {
  readonly env: Environment
  /** The files that configure the gateway, without those that hold secrets. */
  readonly configFiles: readonly string[]
  /** The files that were not empty. */
  readonly filled: readonly string[]
}

const FLAG = { file: 'flag', line: 0, column: 0 }

/** Loads the configuration that the command line, the environment and the working directory ask for.
 *
 * @param before What they asked for before. A file that has become empty is being written, and the file that was there
 * is being replaced: to take either for a configuration of nothing would take the keys from a gateway that serves.
 * @param wanted Told of each file that is to be read, also of one that is not there.
 * @throws ConfigError with everything that is wrong. */
export async function settle(
  options: Options,
  before?: Settled,
  wanted: (file: string) => void = () => {},
): Promise<Settled> {
  for (const [flag, files] of [
    ['--config', options.files],
    ['--env-file', options.envFiles],
  ] as const) {
    // What a variable of the shell has left empty.
    if (files.includes('')) throw new ConfigError([{ ...FLAG, path: flag, message: 'names no file' }])
  }
  const filled: string[] = []
  const readFile = readNoting({ filled, wanted, before: before?.filled ?? [] })
  const env = await loadEnvironment(options.envFiles, process.env, readFile)
  const found = configFiles(options.files, env)
  const files = found.length > 0 ? found : (before?.configFiles ?? [])
  const loaded = await loadConfig({ files, env, flags: { host: options.host, port: options.port }, readFile })
  const { config } = loaded
  const empty = config.servers.length === 0 && Object.keys(config.models).length === 0
  const warnings = [...loaded.warnings, ...(empty ? providersFromEnv(env).warnings : [])]
  return { ...loaded, warnings, files: [...loaded.files, ...options.envFiles], env, configFiles: files, filled }
}

/** Notes which files hold something; one that did before must. */
function readNoting({
  filled,
  wanted,
  before,
}: {
  readonly filled: string[]
  readonly wanted: (file: string) => void
  readonly before: readonly string[]
}): ReadFile {
  return async path => {
    wanted(path)
    const text = await readText(path)
    if (text.trim() !== '') filled.push(path)
    else if (before.includes(path)) throw Object.assign(new Error(`${path} is empty`), { code: EMPTIED })
    return text
  }
}
