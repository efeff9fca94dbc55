import { parseDuration } from '#lib/duration.ts'
import { readArguments } from './arguments.ts'
import { EXIT, fail, failUsage } from './output.ts'
import { findRemote, REMOTE_OPTIONS } from './remote.ts'

/** Asks a running gateway whether it is ready: 0 when it is, 1 for anything else, as Docker wants it. */
export async function healthcheck(args: readonly string[]): Promise<number> {
  try {
    const options = { ...REMOTE_OPTIONS, timeout: { type: 'string', default: '5s' } } as const
    const { values } = readArguments({ args: [...args], options })
    const remote = await findRemote(values)
    const timeoutMs = parseDuration(values.timeout)
    if (timeoutMs === null) return fail('--timeout takes a duration, such as 5s', EXIT.failure)
    await remote.ask('/readyz', { signal: AbortSignal.timeout(timeoutMs) })
    return EXIT.ok
  } catch (thrown) {
    if (thrown instanceof TypeError) return failUsage(thrown, EXIT.failure)
    return fail(thrown instanceof Error ? thrown.message : String(thrown), EXIT.failure)
  }
}
