import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { KeyStore, StoredKey } from '#core/keys.ts'
import { createIds } from '#lib/id.ts'
import { storedSettings } from '#wire/keys.ts'

const newId = createIds()
let made = 0

/** A key as it is made; each one with an id and a secret of its own. */
export function newKey(more: Partial<StoredKey> = {}): { readonly key: StoredKey; readonly hash: string } {
  made++
  const key: StoredKey = {
    id: newId(Date.UTC(2026, 0, 1) + made),
    tenant: 'shop',
    name: 'web',
    prefix: 'ck_abcdef',
    role: 'caller',
    settings: storedSettings.parse({ models: ['chat'], limits: { requests_per_minute: 60 }, budget: { usd: 5 } }),
    origin: 'created',
    createdBy: 'admin',
    createdAt: 1000,
    expiresAt: null,
    rotatedAt: null,
    previousUntil: null,
    revokedAt: null,
    ...more,
  }
  return { key, hash: `hash-${made}` }
}

/** What every store of keys promises. */
export function keysContract(
  name: string,
  open: () => Promise<{ create(): Promise<KeyStore>; close(): Promise<void> }>,
): void {
  describe(name, () => {
    let opened: Awaited<ReturnType<typeof open>>
    let store: KeyStore

    beforeAll(async () => {
      opened = await open()
      store = await opened.create()
    }, 60_000)
    afterAll(() => opened.close())

    async function kept(more: Partial<StoredKey> = {}) {
      const each = newKey(more)
      await store.change({ kind: 'create', ...each })
      const of = { tenant: each.key.tenant, id: each.key.id }
      /** Gives the key another secret, whose hash ends so; the one before is good until 100. */
      const rotate = (end: string, at = 50) =>
        store.change({
          ...{ kind: 'rotate', ...of, hash: `${each.hash}-${end}`, prefix: `ck_${end}` },
          ...{ signing: null, at, previousUntil: 100 },
        })
      return { ...each, of, rotate }
    }

    test('gives a key back as it was made, by its secret and by its tenant and id', async () => {
      const { key, hash, of } = await kept({ expiresAt: 5000, name: "O'Hara; --" })

      expect([await store.find({ hash }), await store.find(of)]).toEqual([key, key])
    })

    test('knows no key of another tenant, nor one that was never made', async () => {
      const { of } = await kept({ tenant: 'shop' })
      const foreign = { tenant: 'bank', id: of.id }

      expect(await store.find(foreign)).toBeNull()
      expect(await store.find({ hash: 'hash-of-nothing' })).toBeNull()
      expect(await store.change({ kind: 'revoke', ...foreign, at: 1 })).toBeNull()
      expect(await store.change({ kind: 'update', ...foreign, patch: { role: 'admin' } })).toBeNull()
      const rotation = { hash: 'stolen', prefix: 'ck_stolen', signing: null, at: 1, previousUntil: 2 }
      expect(await store.change({ kind: 'rotate', ...foreign, ...rotation })).toBeNull()
      expect(await store.find(of)).toMatchObject({ role: 'caller', revokedAt: null, rotatedAt: null })
      expect(await store.find({ hash: 'stolen' })).toBeNull()
    })

    test('changes what a patch names, and nothing else', async () => {
      const { key, of } = await kept()

      const changed = await store.change({
        kind: 'update',
        ...of,
        patch: { name: 'app', settings: { limits: { tokens_per_day: 9 }, models: null }, expiresAt: 7000 },
      })

      expect(changed?.before).toEqual(key)
      expect(changed?.after).toEqual({
        ...key,
        name: 'app',
        expiresAt: 7000,
        settings: { ...key.settings, models: null, limits: { ...key.settings.limits, tokens_per_day: 9 } },
      })
      expect(await store.find(of)).toEqual(changed?.after ?? null)
    })

    test('rotates: the new secret is good, the old one until the end of the overlap', async () => {
      const { key, hash, rotate } = await kept()
      await rotate('2')

      const [now, before] = [await store.find({ hash: `${hash}-2` }), await store.find({ hash })]

      expect(now).toEqual({ ...key, prefix: 'ck_2', rotatedAt: 50, previousUntil: 100 })
      expect(before).toEqual({ ...key, prefix: 'ck_2', rotatedAt: 50, previousUntil: 100, expiresAt: 100 })
    })

    test('forgets a secret that was rotated away twice', async () => {
      const { hash, rotate } = await kept({ expiresAt: 60 })
      await rotate('b')
      await rotate('c')

      const found = await Promise.all([hash, `${hash}-b`, `${hash}-c`].map(each => store.find({ hash: each })))

      expect(found.map(key => key?.expiresAt)).toEqual([undefined, 60, 60])
    })

    test('revokes for good: neither secret is good, and nothing changes it any more', async () => {
      const { hash, of, rotate } = await kept()
      await rotate('2')
      const revoked = await store.change({ kind: 'revoke', ...of, at: 70 })
      await store.change({ kind: 'update', ...of, patch: { name: 'again' } })
      await rotate('3', 80)
      await store.change({ kind: 'revoke', ...of, at: 90 })

      expect(revoked?.after).toMatchObject({ revokedAt: 70, previousUntil: null })
      expect(await store.find({ hash: `${hash}-2` })).toEqual(revoked?.after ?? null)
      expect(await store.find({ hash })).toMatchObject({ revokedAt: 70, expiresAt: 0 })
      expect(await store.find({ hash: `${hash}-3` })).toBeNull()
    })

    test('changes, rotates and revokes one key of a tenant, and none beside it', async () => {
      const [beside, changed, rotated, foreign] = [
        await kept(),
        await kept(),
        await kept(),
        await kept({ tenant: 'bank' }),
      ]
      const rotation = { prefix: 'p', signing: null, at: 50, previousUntil: 100 }
      await store.change({ kind: 'rotate', ...rotated.of, hash: `${rotated.hash}-2`, ...rotation })
      const overlap = await store.find(rotated.of)

      await store.change({ kind: 'update', ...changed.of, patch: { name: 'app', role: 'admin', expiresAt: 7000 } })
      await store.change({ kind: 'rotate', ...changed.of, hash: `${changed.hash}-2`, ...rotation })
      await store.change({ kind: 'revoke', ...changed.of, at: 70 })

      for (const { key, hash, of } of [beside, foreign])
        expect([await store.find({ hash }), await store.find(of)]).toEqual([key, key])
      expect(await store.find(rotated.of)).toEqual(overlap)
      expect(overlap).toMatchObject({ previousUntil: 100, revokedAt: null })
    })

    test('refuses a second key with the same secret', async () => {
      const { hash } = await kept()

      await expect(store.change({ kind: 'create', key: newKey().key, hash })).rejects.toThrow()
    })

    test('lists the keys of one tenant page by page, the oldest first', async () => {
      const ids: string[] = []
      for (let count = 0; count < 5; count++) {
        ids.push((await kept({ tenant: 'pages' })).key.id)
        await kept({ tenant: 'others' })
      }
      const page = (after: string | null, limit: number) => store.list({ tenant: 'pages', after, limit })

      const first = await page(null, 2)
      const second = await page(first.at(-1)?.id ?? null, 2)
      const third = await page(second.at(-1)?.id ?? null, 2)

      expect([first, second, third].map(keys => keys.map(({ id }) => id))).toEqual([
        ids.slice(0, 2),
        ids.slice(2, 4),
        ids.slice(4),
      ])
    })

    test('has another version after each change, and the same while nothing changes', async () => {
      const versions = [(await store.state()).version, (await store.state()).version]
      const { of, rotate } = await kept()
      versions.push((await store.state()).version)
      await store.change({ kind: 'update', ...of, patch: { name: 'n' } })
      versions.push((await store.state()).version)
      await rotate('2')
      versions.push((await store.state()).version)
      await store.change({ kind: 'revoke', ...of, at: 1 })
      versions.push((await store.state()).version)

      expect(versions[0]).toBe(versions[1] ?? Number.NaN)
      expect(new Set(versions).size).toBe(5)
    })

    test('is in use from the first key on that somebody made, also when that is revoked', async () => {
      const fresh = await opened.create()
      const states = [await fresh.state()]
      await fresh.change({ kind: 'create', ...newKey({ origin: 'first_start', role: 'admin' }) })
      states.push(await fresh.state())
      const { key, hash } = newKey()
      await fresh.change({ kind: 'create', key, hash })
      await fresh.change({ kind: 'revoke', tenant: key.tenant, id: key.id, at: 1 })
      states.push(await fresh.state())

      expect(states.map(({ inUse }) => inUse)).toEqual([false, false, true])
    })

    test('loses no change of many that come at once', async () => {
      const { of } = await kept()
      const names = ['requests_per_minute', 'requests_per_hour', 'requests_per_day', 'tokens_per_day'] as const

      await Promise.all(
        names.map((limit, index) =>
          store.change({ kind: 'update', ...of, patch: { settings: { limits: { [limit]: index + 1 } } } }),
        ),
      )

      const limits = (await store.find(of))?.settings.limits
      expect(names.map(limit => limits?.[limit])).toEqual([1, 2, 3, 4])
    })
  })
}
