import { GatewayError } from '#core/errors.ts'
import type { Server } from '#core/servers.ts'
import { isObject } from '#lib/json.ts'

/** Shorter secrets are not looked for: they would blot out ordinary words. */
const SECRET_MIN = 6
const HIDDEN = '[key]'

/** Takes out of an error what is not to be told: of its words what the gateway has sent to the server as its secrets,
 * because servers like to quote the key that they did not take; of its cause the words of the server, because they may
 * quote the prompt, and causes go to the log. */
export function hideSecrets(error: GatewayError, server: Server): GatewayError {
  const secrets = [...server.secrets, ...Object.values(server.headers)].filter(({ length }) => length >= SECRET_MIN)
  const hide = (text: string) =>
    secrets.reduce((clean, secret) => withoutBegun(clean.replaceAll(secret, HIDDEN), secret), text)
  const message = hide(error.message)
  const param = error.param === null ? null : hide(error.param)
  const cause = wordless(error.cause)
  if (message === error.message && param === error.param && cause === error.cause) return error
  const { code, details, attempts, retryAfterMs, retryable, unsent, headers } = error
  return new GatewayError(code, message, { param, details, attempts, retryAfterMs, retryable, unsent, headers, cause })
}

/** Hides the beginning of a secret at the end of a text, which may have been cut within one. */
function withoutBegun(text: string, secret: string): string {
  for (let length = secret.length - 1; length >= SECRET_MIN; length--) {
    if (text.endsWith(secret.slice(0, length))) return text.slice(0, -length) + HIDDEN
  }
  return text
}

/** The form of a failure's name; sentences do not have it. */
const NAME = /^[\w.:/-]{1,64}$/

/** Reduces a cause to what names the failure: `{status, code, type}`, as far as they were given. */
function wordless(cause: unknown): unknown {
  if (!isObject(cause)) return cause
  const { status, code, type } = cause
  const isName = (given: unknown) => typeof given === 'number' || (typeof given === 'string' && NAME.test(given))
  return Object.fromEntries(Object.entries({ status, code, type }).filter(([, given]) => isName(given)))
}
