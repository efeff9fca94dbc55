import { LRUCache } from 'lru-cache'
import type { Caller } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { KeyState, KeyStore, StoredKey } from '#core/keys.ts'
import { toCaller } from './keys.ts'
import { unavailable } from './refusals.ts'

/** The keys of the store as this process knows them. */
export interface StoredKeys {
  /** Changes whenever keys have changed, so that callers found before must be looked up again. */
  epoch(): number
  /** Whether a key was made at run time; `null` while that is not known. */
  inUse(): boolean | null
  /** Whether callers that were found may still be trusted without asking. */
  fresh(): boolean
  /** Whether the store answered when it was last asked. */
  available(): boolean
  /** Resolves after the first look into the store, whether or not it answered. */
  readonly looked: Promise<void>
  /** The caller whose key has this hash, `null` when there is none.
   *
   * @throws GatewayError `dependency_unavailable` when the store does not answer, `overloaded` when too many strange keys are
   * being looked up. */
  find(hash: string): Promise<Caller | null>
  /** The signing secret of a caller that was found, encrypted with its key; `null` where its requests need no
   * signature. */
  sealedSigning(caller: Caller): string | null
  /** Looks for changes now, so that what this process has changed holds for it at once. */
  refresh(): Promise<void>
  stop(): void
}

/** Where keys are read, and how long they are trusted. */
export interface StoredKeysOptions {
  readonly store: KeyStore
  readonly clock: Clock
  /** How long callers that were found are trusted while the store is away, in milliseconds. */
  readonly staleMs: () => number
  /** Whether other processes may change the keys, so that the store is polled. */
  readonly shared: boolean
  /** The state that is known already; when absent, the store is asked at once. */
  readonly known?: KeyState
  /** Called when the store stops answering and when it answers again. */
  readonly onAvailable?: (available: boolean, reason: unknown) => void
}

/** How often the store is polled, in milliseconds. A revoked key is refused everywhere within 5 s, with 1 s for the
 * poll itself. */
const LOOK_EVERY_MS = 2000
const FRESH_MS = 5000
const FOUND_MAX = 10_000
/** How many keys that were never good are looked up at the same time. More are strangers that guess. */
const STRANGERS_MAX = 256

/** Reads keys from a store, remembers the callers, and notices changes by polling the version of the keys. */
export function createStoredKeys(options: StoredKeysOptions): StoredKeys {
  const { store, clock } = options
  const found = new LRUCache<string, { readonly caller: Caller | null }>({ max: FOUND_MAX })
  /** The keys that were good when they were last looked up. When one key changes, all are looked up again, and those who
   * come with a good one are not turned away for being many. */
  const good = new LRUCache<string, true>({ max: FOUND_MAX })
  const sealed = new WeakMap<Caller, string>()
  const lookups = new Map<string, Promise<Caller | null>>()
  let state: KeyState | null = options.known ?? null
  let epoch = 0
  let strangers = 0
  let available = true
  let heardAt = clock.now()
  let cancel: () => void = () => {}
  let stopped = false

  function tell(now: boolean, reason: unknown): void {
    if (now === available) return
    available = now
    options.onAvailable?.(now, reason)
  }

  function forget(): void {
    epoch++
    found.clear()
    // Look-ups under way may give what held before the change: requests from now on ask again.
    lookups.clear()
  }

  async function refresh(): Promise<void> {
    const askedAt = clock.now()
    try {
      const next = await store.state()
      if (state?.version !== next.version || state.inUse !== next.inUse) forget()
      state = next
      heardAt = askedAt
      tell(true, null)
    } catch (thrown) {
      tell(false, thrown)
    }
  }

  async function lookAgain(): Promise<void> {
    await refresh()
    later()
  }

  function later(): void {
    if (options.shared && !stopped) cancel = clock.after(LOOK_EVERY_MS, () => void lookAgain())
  }

  const fresh = () => !options.shared || clock.now() - heardAt <= Math.max(options.staleMs(), FRESH_MS)

  async function ask(hash: string): Promise<Caller | null> {
    const asked = epoch
    const isStranger = !good.has(hash)
    if (isStranger) strangers++
    try {
      const key = await store.find({ hash })
      const caller = key === null || key.revokedAt !== null ? null : callerOf(key)
      if (caller !== null && key?.settings.signing != null) sealed.set(caller, key.settings.signing)
      if (caller === null) good.delete(hash)
      else good.set(hash, true)
      // Not remembered if keys have changed since it was asked.
      if (asked === epoch) found.set(hash, { caller })
      return caller
    } catch (thrown) {
      tell(false, thrown)
      throw unavailable(thrown)
    } finally {
      if (isStranger) strangers--
      if (asked === epoch) lookups.delete(hash)
    }
  }

  async function find(hash: string): Promise<Caller | null> {
    const before = fresh() ? found.get(hash) : undefined
    if (before !== undefined) return before.caller
    const running = lookups.get(hash)
    if (running !== undefined) return running
    // The next poll, not a request, finds out that the store answers again.
    if (!available) throw unavailable()
    if (strangers >= STRANGERS_MAX && !good.has(hash))
      throw new GatewayError('overloaded', 'Too many unknown keys at once.', { retryAfterMs: 1000 })
    const lookup = ask(hash)
    lookups.set(hash, lookup)
    return lookup
  }

  const looked = state === null ? refresh() : Promise.resolve()
  void looked.then(later)
  return {
    epoch: () => epoch,
    inUse: () => state?.inUse ?? null,
    fresh,
    available: () => available,
    looked,
    find,
    sealedSigning: caller => sealed.get(caller) ?? null,
    refresh,
    stop() {
      stopped = true
      cancel()
    },
  }
}

function callerOf({ id, name, tenant, role, settings, expiresAt }: StoredKey): Caller {
  const { signing, previous_signing: _, ...rest } = settings
  const caller = toCaller({ ...rest, name, tenant, role, expires: expiresAt })
  return { ...caller, id, stored: true, ...(signing !== null && { signs: true }) }
}
