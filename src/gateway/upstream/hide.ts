import { GatewayError } from '#core/errors.ts'
import type { Server } from '#core/servers.ts'

/** Shorter texts would blot out ordinary words. */
const SECRET_MIN = 6
const HIDDEN = '[key]'

/** Takes what the gateway has sent to a server as its secrets out of the words of an error: servers like to quote the
 * key that they did not take. */
export function hideSecrets(error: GatewayError, server: Server): GatewayError {
  const secrets = [...server.secrets, ...Object.values(server.headers)].filter(({ length }) => length >= SECRET_MIN)
  const hide = (text: string) => secrets.reduce((clean, secret) => clean.replaceAll(secret, HIDDEN), text)
  const message = hide(error.message)
  const param = error.param === null ? null : hide(error.param)
  if (message === error.message && param === error.param) return error
  const { code, details, attempts, retryAfterMs, retryable, unsent, headers, cause } = error
  return new GatewayError(code, message, { param, details, attempts, retryAfterMs, retryable, unsent, headers, cause })
}
