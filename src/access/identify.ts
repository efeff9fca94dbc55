import type { Caller } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import type { Failures } from '#core/guards.ts'
import { authorize, type Need } from './authorize.ts'
import type { Credentials } from './credential.ts'
import { tooManyFailures } from './failures.ts'
import { ANONYMOUS, type AuthMode, admit, CALLS_ONLY, type Keyring, UNRECOGNISED } from './keys.ts'
import { readToken, type Tokens } from './tokens.ts'

/** Finds the caller of a request, or the error that refuses it. A promise where a token or the store of keys has to be
 * asked first. */
export type Identify = (
  credentials: Credentials,
  address: string,
  need: Need,
) => Caller | GatewayError | Promise<Caller | GatewayError>

/** Creates the function that finds the caller of a request by its key or token.
 *
 * An address that has sent too many wrong credentials waits before it may try another. A credential that was accepted
 * before is not held up, so that nobody suffers from another client behind the same address. */
export function createIdentify(deps: {
  readonly keyring: Keyring
  /** `null` where no issuer is configured. */
  readonly tokens: Tokens | null
  readonly failures: Pick<Failures, 'quiet' | 'waitMs'>
  /** Called for each request that has to wait. */
  readonly onThrottled: () => void
}): Identify {
  const { keyring, tokens, failures } = deps

  return function identify(credentials, address, need) {
    const token = tokens === null ? null : readToken(credentials)
    const before = token === null ? null : (tokens?.known(token) ?? null)
    const isHeldUp =
      !failures.quiet() && before === null && counts(credentials, need, keyring.mode()) && !keyring.knows(credentials)
    const waitMs = isHeldUp ? failures.waitMs(address) : 0
    if (waitMs instanceof Promise) {
      return waitMs.then(ms => (ms > 0 ? throttled(ms) : resolved(credentials, token, before, need)))
    }
    return waitMs > 0 ? throttled(waitMs) : resolved(credentials, token, before, need)
  }

  function throttled(waitMs: number): GatewayError {
    deps.onThrottled()
    return tooManyFailures(waitMs)
  }

  function resolved(credentials: Credentials, token: string | null, before: Caller | null, need: Need) {
    if (before !== null) return ofMode(before, need, keyring.mode())
    if (tokens === null || token === null || keyring.knows(credentials)) return keyring.resolve(credentials)
    return tokens.resolve(token).then(async caller => {
      // A key may contain dots too, and look like a token.
      const key = caller instanceof GatewayError ? await keyring.resolve(credentials) : null
      const isKey = key !== null && !(key instanceof GatewayError) && (key === CALLS_ONLY || key.role !== 'anonymous')
      return isKey ? key : ofMode(caller, need, keyring.mode())
    })
  }
}

/** Whether a credential can be wrong: not if none is sent, or if the route ignores it. */
function counts({ authorization, xApiKey, apiKey }: Credentials, need: Need, mode: AuthMode): boolean {
  return !isOpen(need, mode) && Boolean(authorization || xApiKey || apiKey)
}

function isOpen(need: Need, mode: AuthMode): boolean {
  return mode === 'none' && authorize(ANONYMOUS, need, mode) === null
}

/** Where no credential is needed, a wrong one is ignored, and a good one counts only if it allows more than calling
 * models. */
function ofMode(caller: Caller | GatewayError, need: Need, mode: AuthMode): Caller | GatewayError {
  if (caller instanceof GatewayError) return isOpen(need, mode) ? UNRECOGNISED : caller
  return admit(caller, mode)
}
