import { ConfigError } from '#config/problems.ts'
import { parseOptions, type Settled, settle } from './options.ts'
import { counted, EXIT, fail, failUsage, say } from './output.ts'
import { readTls, TlsUnusable } from './tls.ts'

/** Checks a configuration as `start` would read it, and starts nothing. */
export async function check(args: readonly string[]): Promise<number> {
  try {
    const settled = await settle(parseOptions(args))
    if (settled.config.service.tls !== null) readTls(settled.config.service.tls)
    if (settled.unreadable.length > 0) throw new ConfigError(settled.unreadable)
    for (const warning of settled.warnings) say(`warning  ${warning}`)
    console.log(summary(settled))
    return EXIT.ok
  } catch (thrown) {
    if (thrown instanceof ConfigError) {
      console.error(thrown.message)
      console.error(`${counted(thrown.problems.length, 'problem')}; nothing was started.`)
      process.exitCode = EXIT.config
      return EXIT.config
    }
    if (thrown instanceof TlsUnusable) return fail(thrown.message, EXIT.config)
    return failUsage(thrown)
  }
}

function summary({ config, configFiles }: Settled): string {
  const models = Object.keys(config.models).length
  const from = configFiles.length > 0 ? configFiles.join(', ') : 'no file: the defaults'
  return `ok  ${from}: ${counted(config.servers.length, 'server')}, ${counted(models, 'model')}, ${counted(config.auth.keys.length, 'key')}, ${config.service.host}:${config.service.port}`
}
