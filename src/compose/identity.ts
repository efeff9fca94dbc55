import { authorize } from '#access/authorize.ts'
import { credentialsOf } from '#access/credential.ts'
import { createAccepted, tooManyFailures } from '#access/failures.ts'
import { createIdentify } from '#access/identify.ts'
import { fetchText } from '#access/issuer.ts'
import { createKeyring } from '#access/keys.ts'
import { checkSignature } from '#access/signatures.ts'
import type { StoredKeys } from '#access/stored-keys.ts'
import { createTokens, type TokenSettings, type Tokens } from '#access/tokens.ts'
import type { Config } from '#config/schema.ts'
import type { Caller } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Edge } from '#http/edge.ts'
import { clientNetwork } from '#lib/net.ts'
import type { Redis } from '#stores/redis.ts'
import { createGuards } from './stores.ts'

/** The functions by which the edge identifies and checks callers. */
export type Identity = Pick<Edge, 'identify' | 'authMode' | 'authorize' | 'refused' | 'maySign' | 'checkSignature'>

/** Builds the identification of callers. Counts of failures, remembered signatures and who was accepted are kept when the
 * configuration changes.
 *
 * @returns Makes those functions for a configuration. */
export function composeIdentity(deps: {
  readonly clock: Clock
  readonly journal: Journal
  /** Where failures and signatures are shared; `null` where they are not. */
  readonly redis: Redis | null
  /** The keys that are made at run time. */
  readonly stored: StoredKeys
  readonly warn: (message: string, fields: Readonly<Record<string, string>>) => void
}): (config: Config) => Identity {
  const { clock } = deps
  const accepted = createAccepted()
  let perMinute = 0
  const { failures, replays } = createGuards(deps.redis, clock, () => perMinute)
  const onThrottled = () => deps.journal.note({ type: 'limit-hit', scope: 'failures' })
  const onFailure = (issuer: string, thrown: unknown) =>
    deps.warn('the keys of an issuer cannot be read', { issuer, error: String(thrown) })
  const tokensOf = keepWhileSame((settings: TokenSettings) =>
    settings.issuer.length === 0 ? null : createTokens(settings, { clock, fetchText, onFailure }),
  )

  return config => {
    const { auth } = config
    perMinute = auth.failures_per_minute
    const tokens: Tokens | null = tokensOf(auth.jwt)
    const mode = auth.mode === 'auto' && tokens !== null ? 'required' : auth.mode
    const { keys, admin_keys: adminKeys } = auth
    const keyring = createKeyring({ keys, adminKeys, mode, stored: deps.stored, clock, accepted })
    const identify = createIdentify({ keyring, tokens, failures, onThrottled })
    return {
      identify: (headers, address, access) => identify(credentialsOf(headers), address, access),
      authMode: keyring.mode,
      authorize: (caller, access) => authorize(caller, access, keyring.mode()),
      refused(address, sender) {
        failures.note(address)
        if (sender !== null) failures.note(signer(address, sender))
      },
      async maySign(address, sender) {
        const waitMs = await failures.waitMs(signer(address, sender))
        if (waitMs <= 0) return null
        onThrottled()
        return tooManyFailures(waitMs)
      },
      checkSignature: (caller, request) =>
        checkSignature(request, { owner: caller.id, secret: keyring.signingSecret(caller) }, { replays, clock }),
    }
  }
}

/** The name under which wrong signatures are counted. By address and key: the key is good, so the count of the address
 * alone does not hold it up, and others behind the address must not be held up. */
function signer(address: string, { id }: Pick<Caller, 'id'>): string {
  return address === '' ? '' : `${clientNetwork(address)} ${id}`
}

/** Makes something from its settings, and gives the same one as long as these stay the same. */
function keepWhileSame<S, T>(make: (settings: S) => T): (settings: S) => T {
  let last: { readonly text: string; readonly made: T } | null = null
  return settings => {
    const text = JSON.stringify(settings)
    if (last?.text !== text) last = { text, made: make(settings) }
    return last.made
  }
}
