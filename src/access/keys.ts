import { LRUCache } from 'lru-cache'
import { adminName, type Caller, DEFAULT_TENANT, type Role } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { LimitSet } from '#core/limiter.ts'
import { toNano } from '#core/money.ts'
import type { Priority } from '#core/priority.ts'
import { sha256 } from '#lib/hash.ts'
import { type Credentials, faultOfForm, isPlaceholder, readKey, soleHeader } from './credential.ts'
import { type Accepted, createAccepted } from './failures.ts'
import { missing, refused, unavailable } from './refusals.ts'
import { isSecret, openSigning } from './secret.ts'
import type { StoredKeys } from './stored-keys.ts'

/** A key as the operator declares it. */
export interface KeyDeclaration {
  readonly name: string
  readonly key: string
  readonly tenant: string | null
  readonly role: Exclude<Role, 'anonymous'>
  /** The public names of the models that it may use; `null` = all. */
  readonly models: readonly string[] | null
  /** Each limit replaces the one that holds for every client. */
  readonly limits: LimitSet
  readonly budget?: { readonly usd: number; readonly per: 'day' | 'month' } | null
  /** The highest priority that it may ask for; the default one when absent. */
  readonly max_priority?: Priority
  /** Whether its answers may be stored and shared (default: yes). */
  readonly cache?: boolean
  /** Epoch milliseconds; `null` = never. */
  readonly expires: number | null
  /** The secret with which its requests must be signed; absent or `null` = they need no signature. */
  readonly signing_secret?: string | null
}

/** Whether callers need a key, after `auto` was resolved. */
export type AuthMode = 'none' | 'optional' | 'required'

/** What a keyring is made of. */
export interface KeyringOptions {
  readonly keys: readonly KeyDeclaration[]
  readonly adminKeys: readonly string[]
  /** The keys that are made at run time; none when absent. */
  readonly stored?: StoredKeys
  /** `auto` = `none` until anybody has made a key, then `required`. */
  readonly mode: AuthMode | 'auto'
  readonly clock: Pick<Clock, 'time'>
  /** What was accepted before, by the keyring that this one takes the place of too. */
  readonly accepted?: Accepted
}

/** Knows the keys. */
export interface Keyring {
  /** The mode that holds now, with `auto` resolved. */
  mode(): AuthMode
  /** Finds the caller of a request, or the error that refuses it. Without waiting for callers that were found lately; a
   * promise where the store has to be asked. */
  resolve(credentials: Credentials): Caller | GatewayError | Promise<Caller | GatewayError>
  /** Whether exactly these credentials were accepted before, and were not refused since. */
  knows(credentials: Credentials): boolean
  /** The secret with which the requests of a caller must be signed; `null` when it is not known. */
  signingSecret(caller: Caller): string | null
}

/** How many headers are remembered with their caller, so that a hash is not computed for each request. */
const RESOLVED_MAX = 10_000

/** A caller without a credential where none is needed. */
export const ANONYMOUS: Caller = {
  id: 'anonymous',
  name: 'anonymous',
  tenant: DEFAULT_TENANT,
  role: 'anonymous',
  models: null,
  limits: null,
  expiresAt: null,
}

/** A caller whose credential is unknown and was ignored; has the rights of `ANONYMOUS`. */
export const UNRECOGNISED: Caller = { ...ANONYMOUS }

/** A caller whose key could not be looked up where none is needed; has the rights of `ANONYMOUS`. */
export const UNDECIDED: Caller = { ...ANONYMOUS }

/** A caller whose key is good but allows no more than calls, which need no key; has the rights of `ANONYMOUS`. */
export const CALLS_ONLY: Caller = { ...ANONYMOUS }

/** Creates the keyring. Keys are kept as hashes and looked up by hash, so that response times do not tell how much of a
 * key was right. */
export function createKeyring(options: KeyringOptions): Keyring {
  const { stored, accepted = createAccepted() } = options
  const signing = new WeakMap<Caller, string>()
  const byHash = declaredCallers(options, signing)
  const resolved = new LRUCache<string, Caller>({ max: RESOLVED_MAX })
  let epoch = stored?.epoch() ?? 0

  function mode(): AuthMode {
    if (options.mode !== 'auto') return options.mode
    // While it is not known whether there are keys, nobody is let in without one.
    return byHash.size > 0 || (stored !== undefined && stored.inUse() !== false) ? 'required' : 'none'
  }

  function known(caller: Caller | null | undefined): Caller | null {
    if (caller == null) return null
    return caller.expiresAt !== null && options.clock.time() >= caller.expiresAt ? null : caller
  }

  function remembered(header: string): Caller | null {
    if (stored !== undefined && stored.epoch() !== epoch) {
      epoch = stored.epoch()
      resolved.clear()
    }
    const caller = known(resolved.get(header))
    return caller?.stored === true && stored?.fresh() === false ? null : caller
  }

  function resolve(credentials: Credentials): ReturnType<Keyring['resolve']> {
    const quick = soleHeader(credentials)
    const before = quick === null ? null : remembered(quick)
    if (before !== null) return admit(before, mode())
    const presented = readKey(credentials)
    if (presented === 'none') return mode() === 'required' ? decided(missing, ANONYMOUS) : ANONYMOUS
    const refusal = () => refused(undefined, faultOfForm(credentials))
    if (presented === 'malformed') return mode() === 'none' ? UNRECOGNISED : decided(refusal, UNRECOGNISED)
    const hash = sha256(presented.key)
    const caller = known(byHash.get(hash))
    if (caller !== null) return admitted(caller, quick)
    if (stored !== undefined && isSecret(presented.key)) return lookedUp(stored, { key: presented.key, hash, quick })
    return unknown(presented.key, quick, refusal)
  }

  function admitted(caller: Caller, quick: string | null): Caller {
    if (quick !== null) {
      resolved.set(quick, caller)
      accepted.set(quick, true)
    }
    return admit(caller, mode())
  }

  function unknown(key: string, quick: string | null, refusal: () => GatewayError): ReturnType<Keyring['resolve']> {
    if (quick !== null) accepted.delete(quick)
    const placeholder = isPlaceholder(key)
    const now = mode()
    const ignored = placeholder ? ANONYMOUS : UNRECOGNISED
    if (now === 'required') return decided(refusal, ignored)
    if (now === 'optional' && !placeholder) return refusal()
    if (quick !== null) resolved.set(quick, ignored)
    return ignored
  }

  async function lookedUp(
    keys: StoredKeys,
    { key, hash, quick }: { readonly key: string; readonly hash: string; readonly quick: string | null },
  ): Promise<Caller | GatewayError> {
    const asked = keys.epoch()
    const caller = await keys.find(hash).catch(toGatewayError)
    if (caller instanceof GatewayError) return mode() === 'none' ? UNDECIDED : caller
    const good = known(caller)
    const sealed = good === null ? null : keys.sealedSigning(good)
    const secret = sealed === null ? null : openSigning(key, sealed)
    if (good !== null && secret !== null) signing.set(good, secret)
    // If keys have changed meanwhile, the answer is used for this request only and not remembered.
    if (good !== null) return admitted(good, keys.epoch() === asked ? quick : null)
    if (quick !== null) accepted.delete(quick)
    return mode() === 'none' ? UNRECOGNISED : refused()
  }

  /** Gives the refusal, or `otherwise` in mode `auto` with no key in use. Waits for the first look into the store. */
  function decided(refusal: () => GatewayError, otherwise: Caller): ReturnType<Keyring['resolve']> {
    if (options.mode !== 'auto' || byHash.size > 0 || stored === undefined) return refusal()
    const decide = () => {
      const inUse = stored.inUse()
      return inUse === null ? unavailable() : inUse ? refusal() : otherwise
    }
    return stored.inUse() === null ? stored.looked.then(decide) : decide()
  }

  function knows(credentials: Credentials): boolean {
    const header = soleHeader(credentials)
    return header !== null && accepted.has(header)
  }

  return { mode, resolve, knows, signingSecret: caller => signing.get(caller) ?? null }
}

function declaredCallers(
  { keys, adminKeys }: KeyringOptions,
  signing: WeakMap<Caller, string>,
): ReadonlyMap<string, Caller> {
  const declaredCaller = (declared: KeyDeclaration) => {
    const caller = toCaller(declared)
    if (declared.signing_secret) signing.set(caller, declared.signing_secret)
    return caller
  }
  return new Map([
    ...keys.map(declared => [sha256(declared.key), declaredCaller(declared)] as const),
    ...adminKeys.map((key, index) => [sha256(key), adminCaller(index)] as const),
  ])
}

/** In mode `none` a key only counts if it allows more than calling models. */
export function admit(caller: Caller, mode: AuthMode): Caller {
  return mode === 'none' && caller.role === 'caller' ? CALLS_ONLY : caller
}

/** The caller that a key stands for. */
export function toCaller(declared: Omit<KeyDeclaration, 'key'>): Caller {
  return {
    id: declared.name,
    name: declared.name,
    tenant: declared.tenant ?? DEFAULT_TENANT,
    role: declared.role,
    models: declared.models === null ? null : new Set(declared.models),
    limits: declared.limits,
    budget: declared.budget == null ? null : { nano: toNano(declared.budget.usd), per: declared.budget.per },
    maxPriority: declared.max_priority,
    cache: declared.cache,
    expiresAt: declared.expires,
    ...(declared.signing_secret && { signs: true }),
  }
}

function adminCaller(index: number): Caller {
  const id = adminName(index)
  return { ...ANONYMOUS, id, name: id, role: 'admin', maxPriority: 'critical' }
}
