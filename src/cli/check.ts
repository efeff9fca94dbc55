import { ConfigError } from '#config/problems.ts'
import { readArguments } from './arguments.ts'
import { CONFIG_OPTIONS, optionsOf, type Settled, settle } from './options.ts'
import { counted, EXIT, fail, failUsage, print, say } from './output.ts'
import { problemsOf } from './reload.ts'
import { readTls, TlsUnusable } from './tls.ts'

const OPTIONS = { ...CONFIG_OPTIONS, json: { type: 'boolean', default: false } } as const

/** Checks a configuration as `start` would read it, and starts nothing. */
export async function check(args: readonly string[]): Promise<number> {
  let json = false
  try {
    const { values, positionals } = readArguments({ args: [...args], allowPositionals: true, options: OPTIONS })
    json = values.json
    const options = optionsOf(values)
    const settled = await settle({ ...options, files: [...options.files, ...positionals] })
    if (settled.unreadable.length > 0) throw new ConfigError(settled.unreadable)
    if (settled.config.service.tls !== null) readTls(settled.config.service.tls)
    if (json) printReport([], settled.warnings)
    else printSummary(settled)
    return EXIT.ok
  } catch (thrown) {
    if (thrown instanceof ConfigError || thrown instanceof TlsUnusable) return sayWrong(thrown, json)
    return failUsage(thrown)
  }
}

function printSummary({ config, configFiles, warnings }: Settled): void {
  for (const warning of warnings) say(`warning  ${warning}`)
  const models = Object.keys(config.models).length
  const from = configFiles.length > 0 ? configFiles.join(', ') : 'no file: the defaults'
  print(
    `ok  ${from}: ${counted(config.servers.length, 'server')}, ${counted(models, 'model')}, ${counted(config.auth.keys.length, 'key')}, ${config.service.host}:${config.service.port}`,
  )
}

function sayWrong(thrown: ConfigError | TlsUnusable, json: boolean): number {
  process.exitCode = EXIT.config
  if (json) printReport(thrown instanceof ConfigError ? thrown.problems : problemsOf(thrown), [])
  else if (thrown instanceof TlsUnusable) fail(thrown.message, EXIT.config)
  else {
    console.error(thrown.message)
    console.error(`${counted(thrown.problems.length, 'problem')}; nothing was started.`)
  }
  return EXIT.config
}

/** For programs, such as those that show a mistake beside its line. */
function printReport(problems: readonly object[], warnings: readonly string[]): void {
  print(JSON.stringify({ ok: problems.length === 0, problems, warnings }, null, 2))
}
