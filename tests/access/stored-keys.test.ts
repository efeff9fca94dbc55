import { describe, expect, test } from 'bun:test'
import { authorize } from '#access/authorize.ts'
import { credentialsOf } from '#access/credential.ts'
import { createKeyring, type KeyringOptions } from '#access/keys.ts'
import { isSecret, newSecret } from '#access/secret.ts'
import { createStoredKeys } from '#access/stored-keys.ts'
import { GatewayError } from '#core/errors.ts'
import type { KeyStore, StoredKey } from '#core/keys.ts'
import { sha256 } from '#lib/hash.ts'
import { createMemoryKeys } from '#stores/memory-keys.ts'
import { newKey } from '#tests/contract/keys.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const STALE_MS = 60_000
/** In which every process has heard that keys were changed. */
const VERSION_MS = 3000

/** A store that can go away, and counts what it is asked. */
function fragileStore() {
  const store = createMemoryKeys()
  const asked = { state: 0, find: 0 }
  let gate: Promise<void> | null = null
  let down = false
  const reach = async () => {
    await gate
    if (down) throw new Error('connection refused')
  }
  return {
    asked,
    breakDown() {
      down = true
    },
    comeBack() {
      down = false
    },
    /** Makes it answer late; the answer lets it go on. */
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return resolve
    },
    /** Makes it answer at once again, but for what it was asked before. */
    hasten() {
      gate = null
    },
    store: {
      ...store,
      async state() {
        asked.state++
        await reach()
        return store.state()
      },
      async find(by) {
        asked.find++
        const found = await store.find(by)
        await reach()
        return found
      },
    } satisfies KeyStore,
  }
}

async function setup(options: Partial<KeyringOptions> = {}) {
  const clock = fakeClock()
  const fragile = fragileStore()
  const told: boolean[] = []
  const stored = createStoredKeys({
    store: fragile.store,
    clock,
    staleMs: () => STALE_MS,
    shared: true,
    onAvailable: available => void told.push(available),
  })
  const keyring = createKeyring({ keys: [], adminKeys: [], stored, mode: 'required', clock, ...options })
  const resolve = async (headers: Readonly<Record<string, string>>) =>
    keyring.resolve(credentialsOf(new Headers(headers)))
  await stored.looked
  return {
    ...fragile,
    clock,
    stored,
    keyring,
    told,
    resolve,
    /** Says who comes with a key: its caller's name, or the code of the refusal. */
    async ask(key: string | null) {
      const result = await resolve(key === null ? {} : { authorization: `Bearer ${key}` })
      return result instanceof GatewayError ? result.code : result.name
    },
    async make(more: Partial<StoredKey> = {}) {
      const { secret } = newSecret()
      const { key } = newKey(more)
      await fragile.store.change({ kind: 'create', key, hash: sha256(secret) })
      return { secret, of: { tenant: key.tenant, id: key.id } }
    },
    async pass(ms: number) {
      for (let left = ms; left > 0; left -= 1000) {
        clock.advance(Math.min(left, 1000))
        await settled()
      }
    },
  }
}

describe('a key of the store', () => {
  test('names its caller, whichever header it comes in', async () => {
    const { make, resolve } = await setup()
    const { secret, of } = await make({ expiresAt: Date.UTC(2030, 0, 1) })
    const expected = {
      id: of.id,
      name: 'web',
      tenant: 'shop',
      role: 'caller',
      models: new Set(['chat']),
      limits: { requests_per_minute: 60 },
      stored: true,
    }

    expect(await resolve({ authorization: `Bearer ${secret}` })).toMatchObject(expected)
    for (const header of ['x-api-key', 'api-key']) expect(await resolve({ [header]: secret })).toMatchObject(expected)
  })

  test('is looked up once, and then resolved at once', async () => {
    const { make, ask, keyring, asked } = await setup()
    const { secret } = await make()
    await Promise.all(Array.from({ length: 20 }, () => ask(secret)))

    const again = keyring.resolve(credentialsOf(new Headers({ authorization: `Bearer ${secret}` })))

    expect(again).toMatchObject({ name: 'web' })
    expect(asked.find).toBe(1)
  })

  test('is refused when it is unknown, expired or revoked, and nobody can tell which', async () => {
    const { make, resolve, store, clock, pass } = await setup()
    const [expired, revoked] = [await make({ expiresAt: clock.time() + 1000 }), await make()]
    await store.change({ kind: 'revoke', ...revoked.of, at: 1 })
    await pass(1000)

    const errors = await Promise.all(
      [expired.secret, revoked.secret, newSecret().secret, 'sk-other', 'ck_short'].map(key =>
        resolve({ authorization: `Bearer ${key}` }),
      ),
    )

    for (const error of errors)
      expect(error).toMatchObject({ code: 'invalid_api_key', message: 'The API key is not valid.' })
  })

  test('that cannot be one of ours is not worth asking the store', async () => {
    const { make, ask, asked } = await setup()
    await make()

    for (const key of ['sk-abc', 'ck_', `ck_${'a'.repeat(42)}`, `ck_${'a'.repeat(44)}`, `ck_${'.'.repeat(43)}`])
      await ask(key)

    expect(asked.find).toBe(0)
  })

  test('stays known for as long as no key changes', async () => {
    const { make, ask, asked, pass } = await setup()
    const { secret } = await make()
    await pass(2000)
    await ask(secret)
    await pass(60_000)

    expect([await ask(secret), asked.find]).toEqual(['web', 1])
  })

  test('that nobody has is asked for once', async () => {
    const { make, ask, asked } = await setup()
    await make()
    const { secret } = newSecret()

    expect([await ask(secret), await ask(secret)]).toEqual(['invalid_api_key', 'invalid_api_key'])
    expect(asked.find).toBe(1)
  })

  test('and its old secret are both good until the overlap is over', async () => {
    const { make, ask, store, clock, pass, stored } = await setup()
    const { secret, of } = await make()
    const next = newSecret().secret
    const change = {
      hash: sha256(next),
      prefix: 'ck_next',
      signing: null,
      at: clock.time(),
      previousUntil: clock.time() + 10_000,
    }
    await store.change({ kind: 'rotate', ...of, ...change })
    await stored.refresh()

    const during = [await ask(secret), await ask(next)]
    await pass(10_000)

    expect(during).toEqual(['web', 'web'])
    expect([await ask(secret), await ask(next)]).toEqual(['invalid_api_key', 'web'])
  })
})

describe('a change by another process', () => {
  test('that revokes a key is known within five seconds', async () => {
    const { make, ask, store, pass } = await setup()
    const { secret, of } = await make()
    const before = await ask(secret)
    await store.change({ kind: 'revoke', ...of, at: 1 })

    await pass(5000)

    expect([before, await ask(secret)]).toEqual(['web', 'invalid_api_key'])
  })

  test('that makes the first key closes the gateway', async () => {
    const { make, ask, keyring, pass } = await setup({ mode: 'auto' })
    const before = [keyring.mode(), await ask(null)]
    await make()

    await pass(5000)

    expect(before).toEqual(['none', 'anonymous'])
    expect([keyring.mode(), await ask(null)]).toEqual(['required', 'missing_api_key'])
  })

  test('that makes a key which was asked for before is seen', async () => {
    const { make, ask, store, pass } = await setup()
    await make()
    const { secret } = newSecret()
    const before = await ask(secret)
    await store.change({ kind: 'create', ...newKey({ name: 'late' }), hash: sha256(secret) })

    await pass(5000)

    expect([before, await ask(secret)]).toEqual(['invalid_api_key', 'late'])
  })

  test('that overtakes an answer does not leave the old answer behind', async () => {
    const { make, ask, store, stored, hold } = await setup()
    const { secret, of } = await make()
    await stored.refresh()
    const release = hold()
    const early = ask(secret)
    await settled()
    await store.change({ kind: 'revoke', ...of, at: 1 })
    const refreshed = stored.refresh()
    release()
    await refreshed

    expect(await early).toBe('web')
    expect(await ask(secret)).toBe('invalid_api_key')
  })

  test('that overtakes an answer leaves it to nobody who comes after', async () => {
    const { make, ask, store, stored, hold, hasten } = await setup()
    const { secret, of } = await make()
    await stored.refresh()
    const release = hold()
    const early = ask(secret)
    await settled()
    hasten()
    await store.change({ kind: 'revoke', ...of, at: 1 })
    await stored.refresh()
    const late = ask(secret)
    await settled()
    release()

    expect([await early, await late]).toEqual(['web', 'invalid_api_key'])
    expect(await ask(secret)).toBe('invalid_api_key')
  })
})

describe('while the store is away', () => {
  test('known keys are good for the time of grace, unknown ones are not decided', async () => {
    const { make, ask, breakDown, pass } = await setup()
    const [known, unknown] = [await make(), await make()]
    await pass(2000)
    await ask(known.secret)
    breakDown()

    await pass(STALE_MS - 3000)
    const during = [await ask(known.secret), await ask(unknown.secret), await ask(newSecret().secret)]
    await pass(6000)

    expect(during).toEqual(['web', 'dependency_unavailable', 'dependency_unavailable'])
    expect(await ask(known.secret)).toBe('dependency_unavailable')
  })

  test('the time of grace begins when it has answered last, however long ago the gateway started', async () => {
    const { make, ask, breakDown, pass } = await setup()
    const { secret } = await make()
    await pass(10 * STALE_MS)
    await ask(secret)
    breakDown()
    await pass(STALE_MS - 3000)

    expect(await ask(secret)).toBe('web')
  })

  test('that is known before anybody comes with a key', async () => {
    const { breakDown, pass, stored, told } = await setup()
    breakDown()
    await pass(3000)

    expect([stored.available(), told]).toEqual([false, [false]])
  })

  test('a gateway that has stopped does not go on asking it', async () => {
    const { hold, pass, stored, clock, asked } = await setup()
    const release = hold()
    await pass(2000)
    stored.stop()
    release()
    await settled()

    expect([asked.state, clock.pending]).toEqual([2, 0])
  })

  test('it is asked only to find out when it is back', async () => {
    const { make, ask, breakDown, comeBack, asked, pass, told, stored } = await setup()
    const { secret } = await make()
    await pass(2000)
    breakDown()
    await ask(secret)
    const before = asked.find
    for (let count = 0; count < 50; count++) await ask(newSecret().secret)
    const during = asked.find
    const away = stored.available()
    comeBack()
    await pass(2000)

    expect([before, during]).toEqual([1, 1])
    expect([away, stored.available()]).toEqual([false, true])
    expect([await ask(secret), told]).toEqual(['web', [false, true]])
  })

  test('nobody is let in who might need a key', async () => {
    const clock = fakeClock()
    const { store, breakDown } = fragileStore()
    breakDown()
    const stored = createStoredKeys({ store, clock, staleMs: () => STALE_MS, shared: true })
    const keyring = createKeyring({ keys: [], adminKeys: [], stored, mode: 'auto', clock })

    const nothing: [string, string][] = []
    const results = await Promise.all(
      [
        nothing,
        [['authorization', 'Bearer none']],
        [['authorization', 'Basic eDp5']],
        [['api-key', newSecret().secret]],
      ].map(headers => keyring.resolve(credentialsOf(new Headers(headers as [string, string][])))),
    )

    for (const result of results) expect(result).toMatchObject({ code: 'dependency_unavailable', retryAfterMs: 1000 })
  })

  test('the first requests of a start wait for it to say whether there are keys', async () => {
    const clock = fakeClock()
    const { store, hold } = fragileStore()
    const release = hold()
    const stored = createStoredKeys({ store, clock, staleMs: () => STALE_MS, shared: true })
    const keyring = createKeyring({ keys: [], adminKeys: [], stored, mode: 'auto', clock })
    const asking = keyring.resolve(credentialsOf(new Headers()))
    release()

    expect(await asking).toMatchObject({ role: 'anonymous' })
  })

  test('who needs no key calls models, and the management says why it is closed', async () => {
    const { make, resolve, breakDown, pass } = await setup({ mode: 'none' })
    const { secret } = await make({ role: 'admin' })
    breakDown()
    await pass(3000)

    const caller = await resolve({ authorization: `Bearer ${secret}` })

    if (caller instanceof GatewayError) throw caller
    expect(caller.role).toBe('anonymous')
    expect(authorize(caller, 'caller', 'none')).toBeNull()
    expect(authorize(caller, 'admin', 'none')?.code).toBe('dependency_unavailable')
  })

  test('so many strangers that guess at once are turned away', async () => {
    const { make, ask, hold } = await setup({ mode: 'required' })
    await make()
    const release = hold()
    const waiting = Array.from({ length: 256 }, () => ask(newSecret().secret))
    const late = await ask(newSecret().secret)
    release()

    expect(late).toBe('overloaded')
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['invalid_api_key']))
  })

  test('no crowd of keys that were good is turned away when another has changed, nor by strangers', async () => {
    const { make, ask, hold, stored } = await setup({ mode: 'required' })
    const known = await Promise.all(Array.from({ length: 300 }, () => make()))
    await stored.refresh()
    for (const { secret } of known) expect(await ask(secret)).toBe('web')
    await make()
    await stored.refresh()
    const release = hold()
    const strangers = Array.from({ length: 256 }, () => ask(newSecret().secret))
    const waiting = known.map(({ secret }) => ask(secret))
    const late = await ask(newSecret().secret)
    release()

    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['web']))
    expect(late).toBe('overloaded')
    expect(new Set(await Promise.all(strangers))).toEqual(new Set(['invalid_api_key']))
  })
})

describe('a key that was accepted', () => {
  const knows = ({ keyring }: Awaited<ReturnType<typeof setup>>, secret: string) =>
    keyring.knows(credentialsOf(new Headers({ authorization: `Bearer ${secret}` })))

  test('is still known after others were changed, and while the store is away', async () => {
    const gateway = await setup()
    const { secret } = await gateway.make()
    expect(knows(gateway, secret)).toBe(false)
    await gateway.ask(secret)
    await gateway.make()
    await gateway.pass(VERSION_MS)

    expect(knows(gateway, secret)).toBe(true)
    gateway.breakDown()
    await gateway.pass(STALE_MS + VERSION_MS)
    expect(await gateway.ask(secret)).toBe('dependency_unavailable')
    expect(knows(gateway, secret)).toBe(true)
  })

  test('is known no more once it was refused', async () => {
    const gateway = await setup()
    const { secret } = await gateway.make({ expiresAt: gateway.clock.time() + 1000 })
    await gateway.ask(secret)
    await gateway.pass(1000)

    expect(await gateway.ask(secret)).toBe('invalid_api_key')
    expect(knows(gateway, secret)).toBe(false)
  })
})

describe('where a key is not needed', () => {
  test('one of the store still opens what its role opens', async () => {
    const { make, resolve } = await setup({ mode: 'none' })
    const [viewer, caller] = [await make({ role: 'viewer' }), await make({ role: 'caller' })]

    expect(await resolve({ authorization: `Bearer ${viewer.secret}` })).toMatchObject({ role: 'viewer' })
    expect(await resolve({ authorization: `Bearer ${caller.secret}` })).toMatchObject({ role: 'anonymous' })
  })
})

describe('a secret', () => {
  test('has 256 random bits and shows which it is without telling', () => {
    const made = Array.from({ length: 1000 }, () => newSecret())

    expect(new Set(made.map(({ secret }) => secret)).size).toBe(1000)
    for (const { secret, prefix } of made) {
      expect(isSecret(secret)).toBe(true)
      expect(Buffer.from(secret.slice(3), 'base64url')).toHaveLength(32)
      expect(secret).toStartWith(prefix)
      expect(prefix).toHaveLength(9)
    }
  })

  test('is made of all the bytes that it is given', () => {
    const { secret } = newSecret(bytes => void bytes.fill(0xff))

    expect(secret).toBe(`ck_${Buffer.alloc(32, 0xff).toString('base64url')}`)
  })
})
