import { newSecret, newSigningSecret, type Secret, sealSigning } from '#access/secret.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import type { KeyChange, KeyStore, KeyUpdate, StoredKey } from '#core/keys.ts'
import { sha256 } from '#lib/hash.ts'
import { hasIdleBurst, IDLE_BURST, type KeyCreation, type KeyPatch, type KeyView, keyPatch } from '#wire/keys.ts'
import { badCursor } from './cursor.ts'
import { reached } from './reached.ts'

/** There can be only one key of the first start, however many processes start at once. */
const FIRST_KEY_ID = '00000000-0000-7000-8000-000000000001'

/** What keys are managed with. */
export interface KeyManagementDeps {
  readonly store: KeyStore
  readonly clock: Pick<Clock, 'time'>
  readonly newId: (time: number) => string
  readonly journal: Journal
  /** Called after each change, so that it holds at once in this process. */
  readonly changed: () => Promise<void>
  readonly secret?: () => Secret
}

/** Who changes keys, and whose they are; no call reaches a key of another tenant. */
export interface KeyActor {
  /** The id of the key that it has. */
  readonly by: string
  readonly tenant: string
}

/** A key at the only moment at which its secret is known. */
export type KeyWithSecret = KeyView & { readonly key: string; readonly signing_secret: string | null }

/** What may be done with keys. Each fails with `dependency_unavailable` when the store is away, and where it names a
 * key with `not_found` when the tenant has no such key. */
export interface KeyManagement {
  create(actor: KeyActor, wished: KeyCreation, origin?: StoredKey['origin']): Promise<KeyWithSecret>
  list(
    tenant: string,
    page: { readonly after: string | null; readonly limit: number },
  ): Promise<{ readonly data: readonly KeyView[]; readonly next: string | null }>
  show(tenant: string, id: string): Promise<KeyView>
  update(actor: KeyActor, id: string, patch: KeyPatch): Promise<KeyView>
  /** Gives a key another secret; the old one is good for the overlap. */
  rotate(actor: KeyActor, id: string, overlapMs: number): Promise<KeyWithSecret>
  /** Ends a key for good; also when it has ended already. */
  revoke(actor: KeyActor, id: string): Promise<KeyView>
}

/** Creates the management of keys. */
export function createKeyManagement(deps: KeyManagementDeps): KeyManagement {
  const { store, clock, secret: makeSecret = newSecret } = deps

  async function change(
    { by }: KeyActor,
    action: 'key-created' | 'key-updated' | 'key-rotated' | 'key-revoked',
    wanted: KeyChange,
    told: object = {},
  ): Promise<StoredKey> {
    const changed = await reached(store.change(wanted))
    if (changed === null) throw noSuchKey()
    const { before, after: key } = changed
    // Another call may have revoked it since it was looked at.
    if (key.revokedAt !== null && wanted.kind !== 'revoke') throw alreadyRevoked()
    await deps.changed()
    deps.journal.note({
      type: 'administered',
      action,
      subject: key.id,
      tenant: key.tenant,
      by,
      detail: detailOf(before, key, told),
    })
    return key
  }

  /** What is revoked stays as it is. */
  async function mustBeGood(tenant: string, id: string): Promise<StoredKey> {
    const key = await reached(store.find({ tenant, id }))
    if (key === null) throw noSuchKey()
    if (key.revokedAt !== null) throw alreadyRevoked()
    return key
  }

  return {
    async create(actor, wished, origin = 'created') {
      const { secret, prefix } = makeSecret()
      const at = clock.time()
      const { name, role, expires_at, signing, ...settings } = wished
      const signed = signing ? signedBy(secret) : UNSIGNED
      const key: StoredKey = {
        id: origin === 'first_start' ? FIRST_KEY_ID : deps.newId(at),
        tenant: actor.tenant,
        name,
        prefix,
        role,
        settings: { ...settings, signing: signed.sealed, previous_signing: null },
        origin,
        createdBy: actor.by,
        createdAt: at,
        expiresAt: expires_at === null ? null : Date.parse(expires_at),
        rotatedAt: null,
        previousUntil: null,
        revokedAt: null,
      }
      const wanted = { kind: 'create', key, hash: sha256(secret) } as const
      const made = await change(actor, 'key-created', wanted, CREATED)
      return { ...toView(made, at), key: secret, signing_secret: signed.secret }
    },
    async list(tenant, { after, limit }) {
      if (after !== null && !CURSOR.test(after)) throw badCursor()
      const keys = await reached(store.list({ tenant, after, limit: limit + 1 }))
      const page = keys.slice(0, limit)
      const now = clock.time()
      return {
        data: page.map(key => toView(key, now)),
        next: keys.length > limit ? (page.at(-1)?.id ?? null) : null,
      }
    },
    async show(tenant, id) {
      const key = await reached(store.find({ tenant, id }))
      if (key === null) throw noSuchKey()
      return toView(key, clock.time())
    },
    async update(actor, id, patch) {
      const before = await mustBeGood(actor.tenant, id)
      if (patch.limits !== undefined && hasIdleBurst({ ...before.settings.limits, ...patch.limits })) throw idleBurst()
      const wanted = { kind: 'update', tenant: actor.tenant, id, patch: toUpdate(patch) } as const
      return toView(await change(actor, 'key-updated', wanted, patch), clock.time())
    },
    async rotate(actor, id, overlapMs) {
      const before = await mustBeGood(actor.tenant, id)
      const { secret, prefix } = makeSecret()
      const signed = before.settings.signing === null ? UNSIGNED : signedBy(secret)
      const at = clock.time()
      const wanted = {
        kind: 'rotate',
        tenant: actor.tenant,
        id,
        hash: sha256(secret),
        prefix,
        signing: signed.sealed,
        at,
        previousUntil: at + overlapMs,
      } as const
      const key = await change(actor, 'key-rotated', wanted, ROTATED)
      return { ...toView(key, at), key: secret, signing_secret: signed.secret }
    },
    async revoke(actor, id) {
      const at = clock.time()
      return toView(await change(actor, 'key-revoked', { kind: 'revoke', tenant: actor.tenant, id, at }), at)
    },
  }
}

/** What requests are signed with, and the form in which it is kept. */
interface Signed {
  readonly secret: string | null
  readonly sealed: string | null
}

/** A page ends with the id of a key. */
const CURSOR = /^[0-9a-f-]{36}$/
const UNSIGNED: Signed = { secret: null, sealed: null }

function signedBy(key: string): Signed {
  const secret = newSigningSecret()
  return { secret, sealed: sealSigning(key, secret) }
}

/** Only what the patch names: a member that is there and undefined would erase. */
function toUpdate({ name, role, expires_at, ...settings }: KeyPatch): KeyUpdate {
  return {
    ...(name !== undefined && { name }),
    ...(role !== undefined && { role }),
    ...(expires_at !== undefined && { expiresAt: expires_at === null ? null : Date.parse(expires_at) }),
    settings,
  }
}

function toView(key: StoredKey, now: number): KeyView {
  const { signing, previous_signing: _, ...settings } = key.settings
  const expired = key.expiresAt !== null && key.expiresAt <= now
  return {
    id: key.id,
    object: 'key',
    tenant: key.tenant,
    name: key.name,
    prefix: key.prefix,
    role: key.role,
    status: key.revokedAt !== null ? 'revoked' : expired ? 'expired' : 'active',
    ...settings,
    signing: signing !== null,
    origin: key.origin,
    created_by: key.createdBy,
    created_at: toInstant(key.createdAt),
    expires_at: key.expiresAt === null ? null : toInstant(key.expiresAt),
    rotated_at: key.rotatedAt === null ? null : toInstant(key.rotatedAt),
    previous_until: key.previousUntil === null ? null : toInstant(key.previousUntil),
    revoked_at: key.revokedAt === null ? null : toInstant(key.revokedAt),
  }
}

const CREATED = { ...keyPatch.shape, prefix: true, signing: true }
const ROTATED = { prefix: true, previous_until: true }

/** The parts of a key that an object names, before and after a change; nothing where it names none. */
function detailOf(before: StoredKey | null, after: StoredKey, told: object): object {
  if (Object.keys(told).length === 0) return {}
  return { ...(before !== null && { before: partsOf(before, told) }), after: partsOf(after, told) }
}

/** Of a key as it is shown the parts that an object names. */
function partsOf(key: StoredKey, names: object): object {
  return Object.fromEntries(Object.entries(toView(key, 0)).filter(([name]) => Object.hasOwn(names, name)))
}

function toInstant(ms: number): string {
  return new Date(ms).toISOString()
}

function idleBurst(): GatewayError {
  return new GatewayError('invalid_request', `limits.burst: ${IDLE_BURST}.`, { param: 'limits.burst' })
}

function alreadyRevoked(): GatewayError {
  return new GatewayError('conflict', 'This key is revoked; make a new one.')
}

/** One answer for a key that never was and for one of somebody else. */
function noSuchKey(): GatewayError {
  return new GatewayError('not_found', 'There is no key with this id.')
}
