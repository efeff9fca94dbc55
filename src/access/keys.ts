import { LRUCache } from 'lru-cache'
import type { Caller, Role } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Priority } from '#core/priority.ts'
import { sha256 } from '#lib/hash.ts'
import { type Credentials, isPlaceholder, readKey } from './credential.ts'

/** A key as the operator declares it. */
export interface KeyDeclaration {
  readonly name: string
  readonly key: string
  readonly tenant: string | null
  readonly role: Exclude<Role, 'anonymous'>
  /** Public names; `null` = all. */
  readonly models: readonly string[] | null
  /** 0 = what holds for every client. */
  readonly limits: { readonly requests_per_minute: number; readonly burst?: number | null }
  /** The best place in a queue that it may ask for; the usual one when absent. */
  readonly max_priority?: Priority
  /** Epoch milliseconds; `null` = never. */
  readonly expires: number | null
}

/** Whether callers need a key, once `auto` is decided. */
export type AuthMode = 'none' | 'optional' | 'required'

/** What a keyring is made of. */
export interface KeyringOptions {
  readonly keys: readonly KeyDeclaration[]
  readonly adminKeys: readonly string[]
  /** SHA-256 of an admin key that the gateway made for itself; it does not turn `auto` into `required`. */
  readonly bootstrapHash?: string | null
  readonly mode: AuthMode | 'auto'
  readonly clock: Pick<Clock, 'time'>
}

/** Knows the keys. */
export interface Keyring {
  readonly mode: AuthMode
  /** Who sends a request; an error when the mode does not let it in. */
  resolve(credentials: Credentials): Caller | GatewayError
}

const DEFAULT_TENANT = 'default'
/** Raw headers whose caller is remembered, so that a hash is not computed for each request. */
const RESOLVED_MAX = 10_000

/** Somebody without a credential where none is needed. */
export const ANONYMOUS: Caller = {
  id: 'anonymous',
  name: 'anonymous',
  tenant: DEFAULT_TENANT,
  role: 'anonymous',
  models: null,
  requestsPerMinute: null,
  expiresAt: null,
}

/** Somebody whose credential was ignored because it is not known; as anonymous as anybody. */
export const UNRECOGNISED: Caller = { ...ANONYMOUS }

/** Creates the keyring. Keys are kept as hashes and looked up by hash, so that no comparison tells by its time how
 * much of a key was right. */
export function createKeyring(options: KeyringOptions): Keyring {
  const byHash = new Map<string, Caller>()
  for (const declared of options.keys) byHash.set(sha256(declared.key), toCaller(declared))
  const admins = options.adminKeys.map(sha256)
  if (options.bootstrapHash) admins.push(options.bootstrapHash)
  for (const [index, hash] of admins.entries()) byHash.set(hash, adminCaller(index))
  const hasKey = options.keys.length + options.adminKeys.length > 0
  const mode = options.mode === 'auto' ? (hasKey ? 'required' : 'none') : options.mode
  const resolved = new LRUCache<string, Caller>({ max: RESOLVED_MAX })

  function known(caller: Caller | undefined): Caller | null {
    if (caller === undefined) return null
    return caller.expiresAt !== null && options.clock.time() >= caller.expiresAt ? null : caller
  }

  function resolve(credentials: Credentials): Caller | GatewayError {
    const { authorization } = credentials
    const quick = credentials.xApiKey === null && credentials.apiKey === null ? authorization : null
    const before = quick === null ? null : known(resolved.get(quick))
    if (before !== null) return admit(before, mode)
    const presented = readKey(credentials)
    if (presented === 'none') return mode === 'required' ? missing() : ANONYMOUS
    const caller = presented === 'malformed' ? null : known(byHash.get(sha256(presented.key)))
    if (caller !== null) {
      if (quick !== null) resolved.set(quick, caller)
      return admit(caller, mode)
    }
    const placeholder = presented !== 'malformed' && isPlaceholder(presented.key)
    if (mode === 'required' || (mode === 'optional' && !placeholder)) return refused()
    const ignored = placeholder ? ANONYMOUS : UNRECOGNISED
    if (quick !== null && presented !== 'malformed') resolved.set(quick, ignored)
    return ignored
  }

  return { mode, resolve }
}

/** Where keys do not count, only what they allow beyond calling models does. */
function admit(caller: Caller, mode: AuthMode): Caller {
  return mode === 'none' && caller.role === 'caller' ? ANONYMOUS : caller
}

/** The error for who sends no credential where one is needed. */
export function missing(): GatewayError {
  return new GatewayError('missing_api_key', 'An API key is needed: send it as "Authorization: Bearer <key>".', {
    headers: { 'www-authenticate': 'Bearer' },
  })
}

/** The one error for keys that are unknown, expired, revoked or malformed. */
export function refused(): GatewayError {
  return new GatewayError('invalid_api_key', 'The API key is not valid.', {
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  })
}

function toCaller(declared: KeyDeclaration): Caller {
  return {
    id: declared.name,
    name: declared.name,
    tenant: declared.tenant ?? DEFAULT_TENANT,
    role: declared.role,
    models: declared.models === null ? null : new Set(declared.models),
    requestsPerMinute: declared.limits.requests_per_minute || null,
    burst: declared.limits.burst,
    maxPriority: declared.max_priority,
    expiresAt: declared.expires,
  }
}

function adminCaller(index: number): Caller {
  const id = index === 0 ? 'admin' : `admin-${index + 1}`
  return { ...ANONYMOUS, id, name: id, role: 'admin', maxPriority: 'critical' }
}
