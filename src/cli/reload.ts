import { ConfigError, formatProblem } from '#config/problems.ts'
import { GatewayError } from '#core/errors.ts'
import type { Settled } from './options.ts'
import { TlsUnusable, tlsFiles } from './tls.ts'

/** The files whose change asks for a reload. */
export function watchedFiles({ files, config }: Settled): readonly string[] {
  return [...files, ...tlsFiles(config)]
}

/** What is said of keys that were changed and that only a restart takes over. */
export function restartNote(restart: readonly string[]): readonly string[] {
  return restart.length === 0 ? [] : [`changed, but taken over only by a restart: ${restart.join(', ')}`]
}

/** Why a configuration was not taken over, for the log. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof ConfigError ? thrown.message : String(thrown)
}

/** What is wrong with a configuration, each with its place. */
export function problemsOf(thrown: unknown): readonly { readonly path: string; readonly message: string }[] {
  if (thrown instanceof TlsUnusable) return [{ path: 'service.tls', message: thrown.message }]
  const problems = thrown instanceof ConfigError ? thrown.problems : []
  return problems.map(problem => ({ path: problem.path, message: formatProblem(problem) }))
}

/** The answer to who asked for a reload. */
export function reloadRefused(details: ReturnType<typeof problemsOf>, cause?: unknown): GatewayError {
  return new GatewayError('invalid_request', 'The configuration is wrong; nothing was changed.', { details, cause })
}
