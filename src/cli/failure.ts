import { ConfigError } from '#config/problems.ts'
import { CannotListen, PortTaken } from '#src/server.ts'
import { CommandFailed, EXIT, fail, failUsage } from './output.ts'
import { TlsUnusable } from './tls.ts'

/** The message that tells an operator what to do about a failure, and the exit status; `null` for an unknown
 * failure. */
export function failureOf(thrown: unknown): { readonly message: string; readonly status: number } | null {
  if (thrown instanceof ConfigError)
    return { message: `the configuration is wrong:\n${thrown.message}`, status: EXIT.config }
  if (thrown instanceof PortTaken) return { message: portAdvice(thrown), status: EXIT.unavailable }
  if (thrown instanceof TlsUnusable) return { message: thrown.message, status: EXIT.config }
  if (thrown instanceof CannotListen) return { message: thrown.message, status: EXIT.unavailable }
  return null
}

/** Says why a command failed.
 *
 * @throws the error itself when it is no known failure. */
export function failCommand(thrown: unknown): number {
  if (thrown instanceof CommandFailed) return fail(thrown.message, thrown.status)
  if (thrown instanceof TypeError) return failUsage(thrown)
  const failure = failureOf(thrown)
  if (failure === null) throw thrown
  return fail(failure.message, failure.status)
}

function portAdvice({ port, nextFree }: PortTaken): string {
  const other =
    nextFree === null ? 'choose another one with --port' : `${nextFree} is free: start again with --port ${nextFree}`
  return `port ${port} is already in use; ${other}`
}
