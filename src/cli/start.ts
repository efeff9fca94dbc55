import { availableParallelism } from 'node:os'
import { failureOf } from './failure.ts'
import { type Options, parseOptions, settle } from './options.ts'
import { EXIT, fail, failUsage } from './output.ts'

/** Settings of the runtime that would send secrets to the log or take the safety off TLS. */
const REFUSED: Readonly<Record<string, RegExp>> = { BUN_CONFIG_VERBOSE_FETCH: /./, NODE_TLS_REJECT_UNAUTHORIZED: /^0$/ }

/** Starts the gateway and serves until it is told to stop. */
export async function start(args: readonly string[]): Promise<number> {
  for (const [name, bad] of Object.entries(REFUSED)) {
    if (bad.test(process.env[name] ?? ''))
      return fail(`${name} is set; unset it: it is not safe for a gateway`, EXIT.config)
  }
  let options: Options
  try {
    options = parseOptions(args)
  } catch (thrown) {
    return failUsage(thrown)
  }
  try {
    const settled = await settle(options)
    const { workers } = settled.config.service
    const size = workers === 'auto' ? availableParallelism() : workers
    // Loaded only when needed: the supervisor of several workers does not load the gateway.
    if (size > 1) return await (await import('./workers/supervise.ts')).supervise(options, settled, size)
    return await (await import('./run.ts')).run(options, settled)
  } catch (thrown) {
    const failure = failureOf(thrown)
    if (failure === null) throw thrown
    // Parts that were started already hold connections to servers, and would keep the process alive.
    process.exit(fail(failure.message, failure.status))
  }
}
