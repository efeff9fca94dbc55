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
import { refused } from './keys.ts'

/** Whose tokens are taken, and what they say; as the operator declares it. */
export interface TokenSettings extends ClaimNames {
  readonly issuer: readonly string[]
  readonly audience: readonly string[]
  /** Where the keys of all issuers are; `null` = each issuer says where its own are. */
  readonly jwks_url: string | null
  readonly algorithms: readonly string[]
  /** What HMAC algorithms are checked with; the others never are. */
  readonly secret: string | null
  /** How far clocks may differ, in milliseconds. */
  readonly leeway: number
}

/** Knows the tokens of identity providers. */
export interface Tokens {
  /** Who a token speaks for, when it was checked before. */
  known(token: string): Caller | null
  /** Who a token speaks for: `invalid_api_key` when it is not good, whatever is wrong with it, and
   * `dependency_unavailable` when its issuer's keys cannot be read. */
  resolve(token: string): Promise<Caller | GatewayError>
}

/** Tokens are longer than keys, but have to fit into a header. */
const CHARACTERS_MAX = 8192
const KNOWN_MAX = 10_000
const TOKEN = /^bearer +([\w-]{2,}\.[\w-]+\.[\w-]*)$/i

/** The signed token (RFC 7515 §3.1) that stands as the only credential of a request; `null` when it is none. */
export function readToken({ authorization, xApiKey, apiKey }: Credentials): string | null {
  if (authorization === null || xApiKey !== null || apiKey !== null || authorization.length > CHARACTERS_MAX)
    return null
  return TOKEN.exec(authorization)?.[1] ?? null
}

/** Creates the check of tokens. The library is loaded with the first token, and a token that was good is looked up by
 * its hash until it expires or the keys of its issuer change. */
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
    // Nothing is asked of anybody for what could not be good anyway.
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

/** What one token is checked with. */
interface Proof {
  readonly key: JWTVerifyGetKey
  /** Whether it would still be checked with the same. */
  holds(): boolean
}

/** Finds keys by their id among those of an issuer; what a token itself says of keys (`jwk`, `jku`, `x5u`) counts for
 * nothing. Keys are imported once for each reading. */
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

/** One part of a token as it claims to be, before anything is known to be true. */
function partOf(token: string, index: 0 | 1): JsonObject | null {
  const value = parseJson(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString())
  return isObject(value) ? value : null
}
