import { GatewayError } from '#core/errors.ts'

/** Why a connection did not do its work, in one word; the log reads it in the error's cause. */
export type Reason = 'refused' | 'unreachable' | 'dns' | 'reset' | 'closed' | 'truncated' | 'unusable' | 'proxy'

const REASONS: Readonly<Record<string, Reason>> = {
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ETIMEDOUT: 'unreachable',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
}

/** Codes that the runtime reports for TLS, although the connection itself has failed. */
const NOT_TLS = new Set(['ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT', 'EPIPE'])

/** The connection failed; `thrown` is what the runtime said, if anything. */
export function connectionFailed(reason: Reason, thrown?: unknown, unsent = false): GatewayError {
  const { code, message } = storyOf(thrown)
  return new GatewayError('upstream_error', 'The connection to the model server failed.', {
    unsent,
    cause: { reason: REASONS[code ?? ''] ?? reason, code, message },
  })
}

/** The same of one that has never stood: nothing was sent. */
export function notConnected(reason: Reason, thrown: unknown): GatewayError {
  return connectionFailed(reason, thrown, true)
}

/** The TLS handshake failed, or the certificate is not one to trust. */
export function handshakeFailed(thrown: unknown): GatewayError {
  const { code, message } = storyOf(thrown)
  if (code !== null && NOT_TLS.has(code)) return notConnected('reset', thrown)
  return new GatewayError('upstream_tls_error', 'The connection to the model server could not be secured.', {
    unsent: true,
    cause: { reason: 'tls', code, message },
  })
}

/** The connect clock ran out. */
export function connectTimeout(): GatewayError {
  return new GatewayError('upstream_error', 'The model server could not be reached.', {
    unsent: true,
    cause: 'connect timeout',
  })
}

/** The first-byte clock ran out. */
export function silentServer(): GatewayError {
  return new GatewayError('upstream_timeout', 'The model server did not answer in time.')
}

/** The idle clock ran out. */
export function fellSilent(): GatewayError {
  return new GatewayError('upstream_idle_timeout', 'The model server fell silent in the middle of its answer.')
}

function storyOf(thrown: unknown): { readonly code: string | null; readonly message: string | null } {
  if (!(thrown instanceof Error)) return { code: null, message: null }
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : null
  return { code, message: thrown.message }
}
