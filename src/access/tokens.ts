import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Caller } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { sha256 } from '#lib/hash.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import { type ClaimNames, callerOf } from './claims.ts'
import type { Credentials } from './credential.ts'
import { type FetchText, readKeys } from './issuer.ts'
import { createKeySet, type KeySet } from './key-set.ts'
import { refused } from './refusals.ts'

/** Which tokens are accepted, and what their claims mean, as the operator declares it. */
export interface TokenSettings extends ClaimNames {
  readonly issuer: readonly string[]
  readonly audience: readonly string[]
  /** The address of the keys of all issuers; `null` = each issuer publishes the address of its own. */
  readonly jwks_url: string | null
  readonly algorithms: readonly string[]
  /** The secret for HMAC algorithms; never used with others. */
  readonly secret: string | null
  /** How much clocks may differ, in milliseconds. */
  readonly leeway: number
}

/** Checks the tokens of identity providers. */
export interface Tokens {
  /** The caller of a token that was accepted before; `null` for any other. */
  known(token: string): Caller | null
  /** Checks a token and gives its caller, or an error: `invalid_api_key` when it is not good, for whatever reason, and
   * `dependency_unavailable` when the keys of its issuer cannot be read. */
  resolve(token: string): Promise<Caller | GatewayError>
}

/** Tokens are longer than keys, but have to fit into a header. */
const CHARACTERS_MAX = 8192
const KNOWN_MAX = 10_000
const TOKEN = /^bearer +([\w-]{2,}\.[\w-]+\.[\w-]*)$/i

/** The signed token (RFC 7515 §3.1), if it is the only credential of a request; `null` otherwise. */
export function readToken({ authorization, xApiKey, apiKey }: Credentials): string | null {
  if (authorization === null || xApiKey !== null || apiKey !== null || authorization.length > CHARACTERS_MAX)
    return null
  return TOKEN.exec(authorization)?.[1] ?? null
}

/** Creates the check of tokens. The library is loaded with the first token. An accepted token is remembered by its hash
 * until it expires or the keys of its issuer change. */
export function createTokens(
  settings: TokenSettings,
  deps: {
    readonly clock: Pick<Clock, 'now' | 'time'>
    readonly fetchText: FetchText
    readonly onFailure: (issuer: string, thrown: unknown) => void
  },
): Tokens {
  const { clock } = deps
  const good = new LRUCache<string, { readonly caller: Caller; readonly by: Proof }>({ max: KNOWN_MAX })
  const algorithms = new Set(settings.algorithms)
  const publicKeys = createPublicKeys()
  const keySets = new Map(
    settings.issuer.map(issuer => {
      const load = () => readKeys(issuer, settings.jwks_url, deps.fetchText)
      const onFailure = (thrown: unknown) => deps.onFailure(issuer, thrown)
      return [issuer, createKeySet({ load, clock, onFailure })] as const
    }),
  )

  function known(token: string): Caller | null {
    if (good.size === 0) return null
    const hash = sha256(token)
    const entry = good.get(hash)
    if (entry === undefined) return null
    const { caller, by } = entry
    return caller.expiresAt !== null && clock.time() < caller.expiresAt && by.holds() ? caller : null
  }

  async function resolve(token: string): Promise<Caller | GatewayError> {
    const header = partOf(token, 0)
    const keys = keySets.get(String(partOf(token, 1)?.iss))
    // No issuer is asked about a token that cannot be good.
    if (header === null || keys === undefined || typeof header.alg !== 'string' || !algorithms.has(header.alg))
      return refused()
    const by = header.alg.startsWith('HS') ? sharedSecret(settings.secret) : publicKeys(keys)
    try {
      const caller = await verify(token, by.key, settings, clock.time())
      good.set(sha256(token), { caller, by })
      return caller
    } catch (thrown) {
      return thrown instanceof GatewayError ? thrown : refused(thrown)
    }
  }

  return { known, resolve }
}

async function verify(token: string, key: JWTVerifyGetKey, settings: TokenSettings, time: number): Promise<Caller> {
  const { jwtVerify } = await import('jose')
  const leeway = settings.leeway / 1000
  const { payload } = await jwtVerify<JsonObject>(token, key, {
    issuer: [...settings.issuer],
    audience: [...settings.audience],
    algorithms: [...settings.algorithms],
    requiredClaims: ['exp', 'sub'],
    clockTolerance: leeway,
    currentDate: new Date(time),
  })
  return callerOf(payload, settings, leeway)
}

/** The key for one token. */
interface Proof {
  readonly key: JWTVerifyGetKey
  /** Whether the same key would be used now. */
  holds(): boolean
}

/** Finds the key of a token by its id among the keys of its issuer. Keys that the token itself names (`jwk`, `jku`,
 * `x5u`) are ignored. Each key is imported once until they are read again. */
function createPublicKeys(): (keys: KeySet) => Proof {
  const imported = new WeakMap<JSONWebKeySet, JWTVerifyGetKey>()
  return keys => {
    let found: JSONWebKeySet | null = null
    return {
      async key(header, token) {
        const set = await keys.find(typeof header.kid === 'string' ? header.kid : null)
        found = set
        const find = imported.get(set) ?? (await import('jose')).createLocalJWKSet(set)
        imported.set(set, find)
        return find(header, token)
      },
      holds: () => keys.holds(found),
    }
  }
}

function sharedSecret(secret: string | null): Proof {
  return {
    key() {
      if (secret === null) throw new Error('no secret is configured')
      return new TextEncoder().encode(secret)
    },
    holds: () => true,
  }
}

/** One decoded part of a token, not checked yet; `null` when it is no JSON object. */
function partOf(token: string, index: 0 | 1): JsonObject | null {
  const value = parseJson(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString())
  return isObject(value) ? value : null
}
