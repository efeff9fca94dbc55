import type { KeySettings } from '#wire/keys.ts'
import type { Role } from './caller.ts'

/** A key that is kept in the store; its secret is not, only a hash of it. Times are epoch milliseconds. */
export interface StoredKey {
  readonly id: string
  readonly tenant: string
  readonly name: string
  /** The first characters of the secret, for people. */
  readonly prefix: string
  readonly role: Exclude<Role, 'anonymous'>
  readonly settings: KeySettings
  /** `first_start`: made by the gateway for its operator. */
  readonly origin: 'created' | 'first_start'
  readonly createdBy: string
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly rotatedAt: number | null
  /** Until when the secret before the last rotation is good. */
  readonly previousUntil: number | null
  readonly revokedAt: number | null
}

/** A change of the keys; `hash` is the SHA-256 of a secret. What is revoked is never changed again. */
export type KeyChange =
  | { readonly kind: 'create'; readonly key: StoredKey; readonly hash: string }
  | (KeyOf & { readonly kind: 'update'; readonly patch: KeyUpdate })
  | (KeyOf & {
      readonly kind: 'rotate'
      readonly hash: string
      readonly prefix: string
      /** What its requests are signed with from now on, sealed. */
      readonly signing: string | null
      readonly at: number
      readonly previousUntil: number
    })
  | (KeyOf & { readonly kind: 'revoke'; readonly at: number })

/** One key of one tenant. */
export interface KeyOf {
  readonly tenant: string
  readonly id: string
}

/** What may be changed of a key; absent = stays. */
export interface KeyUpdate {
  readonly name?: string
  readonly role?: StoredKey['role']
  readonly settings?: {
    readonly [Part in keyof Omit<KeySettings, 'limits' | 'signing' | 'previous_signing'>]?: KeySettings[Part]
  } & { readonly limits?: Partial<KeySettings['limits']> }
  readonly expiresAt?: number | null
}

/** What every process asks every few seconds. */
export interface KeyState {
  /** Another one after each change. */
  readonly version: number
  /** Whether anybody has ever made a key, beside the one of the first start. */
  readonly inUse: boolean
}

/** Keeps the keys of all tenants. Every call but `find` by a hash names the one tenant that it is for.
 *
 * Each may fail with any error: then the store is away. */
export interface KeyStore {
  state(): Promise<KeyState>
  /** Finds a key, also an expired or revoked one. Found by the secret before its last rotation, it expires when that
   * does. */
  find(by: KeyOf | { readonly hash: string }): Promise<StoredKey | null>
  /** The keys of a tenant in the order in which they were made, from behind `after`. */
  list(page: {
    readonly tenant: string
    readonly after: string | null
    readonly limit: number
  }): Promise<readonly StoredKey[]>
  /** @returns What the change has done; `null` when the tenant has no such key. */
  change(change: KeyChange): Promise<KeyChanged | null>
}

/** A key as a change found it, and as it left it; nothing is found of one that is made. */
export interface KeyChanged {
  readonly before: StoredKey | null
  readonly after: StoredKey
}

/** What a change makes of a key. */
export function changeKey(key: StoredKey, change: Exclude<KeyChange, { kind: 'create' }>): StoredKey {
  if (key.revokedAt !== null) return key
  switch (change.kind) {
    case 'update': {
      const { settings, ...rest } = change.patch
      const limits = { ...key.settings.limits, ...settings?.limits }
      return { ...key, ...rest, settings: { ...key.settings, ...settings, limits } }
    }
    case 'rotate':
      return {
        ...key,
        prefix: change.prefix,
        settings: { ...key.settings, signing: change.signing, previous_signing: key.settings.signing },
        rotatedAt: change.at,
        previousUntil: change.previousUntil,
      }
    case 'revoke':
      return { ...key, revokedAt: change.at, previousUntil: null }
  }
}

/** The key as its secret before the last rotation finds it. */
export function asPrevious(key: StoredKey): StoredKey {
  const until = key.previousUntil ?? 0
  const settings = { ...key.settings, signing: key.settings.previous_signing }
  return { ...key, settings, expiresAt: key.expiresAt === null ? until : Math.min(key.expiresAt, until) }
}
