import { ConfigError, formatProblem } from '#config/problems.ts'
import { GatewayError } from '#core/errors.ts'
import type { Settled } from './options.ts'
import { TlsUnusable, tlsFiles } from './tls.ts'

/** The files whose change asks for a reload. */
export function watchedFiles({ files, config }: Settled): readonly string[] {
  return [...files, ...tlsFiles(config)]
}

/** The note about changed keys of the configuration that only a restart takes over. */
export function restartNote(restart: readonly string[]): readonly string[] {
  return restart.length === 0 ? [] : [`changed, but taken over only by a restart: ${restart.join(', ')}`]
}

/** Why a configuration was not taken over, for the log. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof ConfigError ? thrown.message : String(thrown)
}

/** The mistakes in a configuration, each with its path. */
export function problemsOf(thrown: unknown): readonly { readonly path: string; readonly message: string }[] {
  if (thrown instanceof TlsUnusable) return [{ path: 'service.tls', message: thrown.message }]
  const problems = thrown instanceof ConfigError ? thrown.problems : []
  return problems.map(problem => ({ path: problem.path, message: formatProblem(problem) }))
}

/** The error for a caller that asked for a reload. */
export function reloadRefused(details: ReturnType<typeof problemsOf>, cause?: unknown): GatewayError {
  return new GatewayError('invalid_request', 'The configuration is wrong; nothing was changed.', { details, cause })
}
