import { createWriter } from '#config/written.ts'
import { DEFAULT_TENANT } from '#core/caller.ts'
import { type ConfigEntry, showConfig } from '#gateway/management/show-config.ts'
import { redactPatterns } from '#lib/redact.ts'
import { secretsOf } from '#src/compose/edge.ts'
import { createRedactor } from '#telemetry/quote.ts'
import { readArguments } from './arguments.ts'
import { failCommand } from './failure.ts'
import { CONFIG_OPTIONS, optionsOf, settle } from './options.ts'
import { EXIT, fail, print, say } from './output.ts'

const USAGE = 'usage: citadel config show [--resolved] [--json] [--config FILE]... | citadel config schema'

const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = { show, schema }

/** Shows what is configured, or the JSON Schema of the configuration. */
export async function config(args: readonly string[]): Promise<number> {
  const [name = '', ...rest] = args
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  return command === undefined ? fail(USAGE, EXIT.usage) : command(rest)
}

/** Prints the JSON Schema of the configuration, for editors. */
async function schema(args: readonly string[]): Promise<number> {
  if (args.length > 0) return fail(USAGE, EXIT.usage)
  const { configJsonSchema } = await import('#config/json-schema.ts')
  print(JSON.stringify(configJsonSchema(), null, 2))
  return EXIT.ok
}

/** Prints each value as a line of YAML, because people copy what they read here into a file. */
async function printLines(entries: readonly ConfigEntry[]): Promise<void> {
  const { configJsonSchema } = await import('#config/json-schema.ts')
  const written = createWriter(configJsonSchema())
  print(
    entries.map(({ key, value, origin }) => `${key}: ${JSON.stringify(written(key, value))}  # ${origin}`).join('\n'),
  )
}

/** Prints each value with the place where it was written, without secrets; with `--resolved` the defaults too. */
async function show(args: readonly string[]): Promise<number> {
  try {
    const options = {
      ...CONFIG_OPTIONS,
      resolved: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    } as const
    const { values } = readArguments({ args: [...args], options })
    const { config, origins } = await settle(optionsOf(values))
    const secrets = secretsOf(config)
    const withoutSecrets = createRedactor(secrets)
    const redact = (text: string) => redactPatterns(withoutSecrets(text))
    const entries = showConfig({ config, tenant: DEFAULT_TENANT, origins, secrets, redact })
    const shown = values.resolved ? entries : entries.filter(({ origin }) => origin !== 'default')
    if (values.json) print(JSON.stringify(shown, null, 2))
    else if (shown.length === 0) say('nothing is configured; --resolved shows the defaults')
    else await printLines(shown)
    return EXIT.ok
  } catch (thrown) {
    return failCommand(thrown)
  }
}
