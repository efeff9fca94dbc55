import type { Environment } from '#config/env.ts'
import { configFiles, type Loaded, loadConfig, loadEnvironment, readText } from '#config/load.ts'
import { ConfigError } from '#config/problems.ts'
import { providersFromEnv } from '#config/providers-from-env.ts'
import { EMPTIED, type ReadFile } from '#config/secrets.ts'
import { readArguments } from './arguments.ts'

/** The options that name configuration files. */
export const FILE_OPTIONS = {
  config: { type: 'string', short: 'c', multiple: true },
  'env-file': { type: 'string', multiple: true },
} as const

/** The options of commands that read the configuration. */
export const CONFIG_OPTIONS = {
  ...FILE_OPTIONS,
  host: { type: 'string' },
  port: { type: 'string', short: 'p' },
} as const

/** The parsed options of commands that read the configuration. */
export interface Options {
  readonly files: readonly string[]
  readonly envFiles: readonly string[]
  readonly host: string | undefined
  readonly port: string | undefined
}

/** The values of `CONFIG_OPTIONS` as `readArguments` gives them. */
export interface ConfigValues {
  readonly config?: readonly string[]
  readonly 'env-file'?: readonly string[]
  readonly host?: string
  readonly port?: string
}

/** Makes options of the parsed values. */
export function optionsOf({ config = [], 'env-file': envFiles = [], host, port }: ConfigValues): Options {
  return { files: config, envFiles, host, port }
}

/** Reads the command line.
 *
 * @throws TypeError for an unknown option. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = readArguments({
    args: [...args],
    allowPositionals: true,
    options: CONFIG_OPTIONS,
  })
  const options = optionsOf(values)
  return { ...options, files: [...options.files, ...positionals] }
}

/** A loaded configuration with the environment and the files it came from. */
export interface Settled extends Loaded {
  readonly env: Environment
  /** The files that configure the gateway, without those that hold secrets. */
  readonly configFiles: readonly string[]
  /** The files that were not empty. */
  readonly filled: readonly string[]
}

const FLAG = { file: 'flag', line: 0, column: 0 }

/** Loads the configuration from the files of the command line, the environment or the working directory.
 *
 * @param before The configuration in use, at a reload. A file that was not empty then and is now, or that is missing, is
 * being rewritten: it is an error, because an empty configuration would take the keys from a running gateway.
 * @param wanted Called with each file before it is read, whether or not it exists.
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
    // An empty name comes from an empty shell variable, as in `--config "$FILE"`.
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

/** Makes the function that reads files. It adds each file that is not empty to `filled`.
 *
 * @param options.before Files that were not empty before: if one is now, reading it fails with the code `EMPTIED`. */
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
