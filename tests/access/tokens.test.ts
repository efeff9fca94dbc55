import { describe, expect, test } from 'bun:test'
import { fetchText, readKeys } from '#access/issuer.ts'
import { createKeySet } from '#access/key-set.ts'
import { createTokens, readToken } from '#access/tokens.ts'
import type { GatewayError } from '#core/errors.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { makeKey, signToken } from '#tests/support/issuer.ts'

const ISSUER = 'https://login.example'
const SETTINGS = {
  ...{ issuer: [ISSUER], audience: ['citadel'], jwks_url: `${ISSUER}/jwks`, algorithms: ['RS256'], secret: null },
  ...{ roles_claim: 'roles', roles: {}, tenant_claim: null, models_claim: null, limits_claim: 'limits' },
}

test('a token that was checked while its key was withdrawn is not remembered', async () => {
  const [old, next] = await Promise.all([makeKey('old'), makeKey('next')])
  const clock = fakeClock()
  let published = [old.jwk]
  const tokens = createTokens(
    { ...SETTINGS, leeway: 0 },
    { clock, onFailure() {}, fetchText: async () => JSON.stringify({ keys: published }) },
  )
  const tokenOf = (sub: string) =>
    signToken(old, { iss: ISSUER, aud: 'citadel', sub, exp: clock.time() / 1000 + 86_400 })
  const before = await tokenOf('before')
  await tokens.resolve(before)
  const remembered = tokens.known(before)

  published = [next.jwk]
  clock.advance(11 * 60_000)
  // The keys are read behind the scenes, and are there before the token is checked.
  const meanwhile = await tokenOf('meanwhile')
  await tokens.resolve(meanwhile)

  expect(remembered).toMatchObject({ name: 'before' })
  expect([tokens.known(before), tokens.known(meanwhile)]).toEqual([null, null])
  expect(await tokens.resolve(meanwhile)).toMatchObject({ code: 'invalid_api_key' })
})

test('a token that is remembered is good for as long as one that is checked, and no moment longer', async () => {
  const key = await makeKey('only')
  const clock = fakeClock()
  const fetchText = async () => JSON.stringify({ keys: [key.jwk] })
  const tokens = createTokens({ ...SETTINGS, leeway: 30_000 }, { clock, onFailure() {}, fetchText })
  const exp = clock.time() / 1000 + 60
  const token = await signToken(key, { iss: ISSUER, aud: 'citadel', sub: 'app', exp })
  await tokens.resolve(token)

  clock.advance(89_999)
  const before = tokens.known(token)
  clock.advance(1)

  expect(before).toMatchObject({ name: 'app' })
  expect(tokens.known(token)).toBeNull()
  expect(await tokens.resolve(token)).toMatchObject({ code: 'invalid_api_key' })
})

test('of what a token says the highest role counts, wherever it stands; a tenant or limits that are none are refused', async () => {
  const key = await makeKey('only')
  const clock = fakeClock()
  const fetchText = async () => JSON.stringify({ keys: [key.jwk] })
  const settings = { ...SETTINGS, tenant_claim: 'org', leeway: 0 }
  const tokens = createTokens(settings, { clock, onFailure() {}, fetchText })
  const resolve = async (more: object) =>
    tokens.resolve(
      await signToken(key, {
        iss: ISSUER,
        aud: 'citadel',
        sub: 'app',
        exp: clock.time() / 1000 + 60,
        org: 'shop',
        ...more,
      }),
    )

  const given = [['viewer', 'admin', 'caller'], 'operator viewer', ['nobody', 'constructor']]
  const callers = await Promise.all(given.map(roles => resolve({ roles })))
  expect(callers).toMatchObject(['admin', 'operator', 'caller'].map(role => ({ role, tenant: 'shop' })))
  for (const org of ['', 'a\nb', 'x'.repeat(256), 7, undefined])
    expect(await resolve({ org })).toMatchObject({ code: 'invalid_api_key' })
  for (const limits of [7, 'many', { requests_per_minute: '5' }, { requests_per_minute: 1.5 }, { naps: 0 }])
    expect(await resolve({ limits })).toMatchObject({ code: 'invalid_api_key' })
  const limited = await resolve({ limits: { requests_per_minute: 1, naps: 3 } })
  expect(limited).toHaveProperty('limits', { requests_per_minute: 1 })
})

test('a token beside another credential is none: nobody could say which of them counts', () => {
  const authorization = 'Bearer aa.bb.cc'

  expect(readToken({ authorization, xApiKey: null, apiKey: null })).toBe('aa.bb.cc')
  expect(readToken({ authorization, xApiKey: 'sk-other', apiKey: null })).toBeNull()
  expect(readToken({ authorization, xApiKey: null, apiKey: 'sk-other' })).toBeNull()
})

describe('the keys of an issuer', () => {
  /** An issuer with two keys that may be away; the gateway has run for a day. */
  function issuerWith() {
    const clock = fakeClock()
    clock.advance(24 * 60 * 60_000)
    const issuer = { kid: 'a', reads: 0, away: false, told: 0 }
    const keys = createKeySet({
      clock,
      async load() {
        issuer.reads++
        if (issuer.away) throw new Error('connection refused')
        return { keys: [issuer.kid, 'other'].map(kid => ({ kid, kty: 'RSA' })) }
      },
      onFailure: () => void issuer.told++,
    })
    const ask = (kid: string) =>
      keys.find(kid).then(
        () => 'known',
        (error: GatewayError) => error.code,
      )
    return { clock, issuer, keys, ask }
  }

  test('are good for as long as it answers, and tokens that they have signed stay known', async () => {
    const { clock, keys, issuer } = issuerWith()
    const found = await keys.find('a')

    clock.advance(3 * 60 * 60_000)

    expect(await keys.find('a')).toBe(found)
    expect([keys.holds(found), issuer.reads]).toEqual([true, 2])
  })

  test('that were withdrawn hold no longer, though only tokens come that are known', async () => {
    const { clock, keys, issuer } = issuerWith()
    const found = await keys.find('a')
    issuer.kid = 'b'
    clock.advance(10 * 60_000)
    const fresh = keys.holds(found)
    clock.advance(1)
    keys.holds(found)
    await settled()

    expect([fresh, keys.holds(found), issuer.reads]).toEqual([true, false, 2])
  })

  test('are not read again for each invented id, nor for each token while it is away', async () => {
    const { clock, issuer, ask } = issuerWith()
    await ask('a')
    for (let n = 0; n < 5; n++) await ask(`invented ${n}`)
    const invented = issuer.reads
    issuer.away = true
    clock.advance(3 * 60 * 60_000)
    for (let n = 0; n < 5; n++) await ask('a')

    expect([invented, issuer.reads]).toEqual([1, 2])
  })

  test('are good for an hour while it is away, each of them, and nobody waits for it meanwhile', async () => {
    const { clock, issuer, keys, ask } = issuerWith()
    await ask('a')
    issuer.away = true
    clock.advance(70 * 60_000)
    const late = [await ask('a'), await ask('other')]
    clock.advance(1)

    expect([...late, await ask('a')]).toEqual(['known', 'known', 'dependency_unavailable'])
    await expect(keys.find(null)).rejects.toMatchObject({ code: 'dependency_unavailable' })
  })

  test('are tried for every few seconds, and not with each token, where none was ever read', async () => {
    const { clock, issuer, ask } = issuerWith()
    issuer.away = true
    for (let n = 0; n < 5; n++) await ask('a')
    const first = issuer.reads
    clock.advance(5000)
    for (let n = 0; n < 5; n++) await ask('a')

    expect([first, issuer.reads]).toEqual([1, 2])
  })

  test('are told of at each time that it is away, and an unknown id is no fault of it once it is back', async () => {
    const { clock, issuer, ask } = issuerWith()
    const codes: string[] = []
    for (const away of [true, false, true, true]) {
      issuer.away = away
      clock.advance(3 * 60 * 60_000)
      codes.push(await ask('a'))
      if (!away) codes.push(await ask('unknown'))
    }

    expect(codes).toEqual([
      'dependency_unavailable',
      'known',
      'known',
      'dependency_unavailable',
      'dependency_unavailable',
    ])
    expect(issuer.told).toBe(2)
  })
})

describe('the address of the keys, as an issuer describes it', () => {
  /** The address at which the keys are read, or what the log is told. */
  async function readFrom(document: unknown, issuer = ISSUER): Promise<string> {
    let asked = ''
    const reading = readKeys(issuer, null, async url => {
      asked = url
      return JSON.stringify(url.endsWith('/openid-configuration') ? document : { keys: [{ kty: 'RSA' }] })
    })
    return reading.then(
      () => asked,
      (error: Error) => error.message,
    )
  }

  test('is taken from the issuer itself', async () => {
    expect(await readFrom({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys` })).toBe(`${ISSUER}/keys`)
    for (const document of [{ issuer: 'https://other.example', jwks_uri: `${ISSUER}/keys` }, null, []]) {
      expect(await readFrom(document)).toEndWith(`does not describe the issuer ${ISSUER}`)
    }
  })

  test('is read where it stands, and only from an answer that is good', async () => {
    await using server = Bun.serve({
      port: 0,
      fetch: ({ url }) =>
        new URL(url).pathname === '/keys'
          ? Response.json({ keys: [] })
          : Response.json(
              { keys: [] },
              { status: Number(new URL(url).pathname.slice(1)), headers: { location: '/keys' } },
            ),
    })
    const ask = (path: string) =>
      fetchText(`${server.url.origin}/${path}`).then(
        () => 'read',
        (error: Error) => error.message,
      )

    expect(await ask('keys')).toBe('read')
    for (const status of [302, 404, 503]) expect(await ask(`${status}`)).toEndWith(`answered ${status}`)
  })

  test('is read to its end, also in pieces, unless it is longer than keys are', async () => {
    // Of three bytes each, so that pieces end within some of them.
    const text = '€'.repeat(170_000)
    await using server = Bun.serve({
      port: 0,
      fetch: ({ url }) =>
        new Response(url.endsWith('/keys') ? text : 'x'.repeat(Number(new URL(url).pathname.slice(1)))),
    })

    expect((await fetchText(`${server.url.origin}/keys`)) === text).toBe(true)
    expect(await fetchText(`${server.url.origin}/${512 * 1024}`)).toHaveLength(512 * 1024)
    await expect(fetchText(`${server.url.origin}/${512 * 1024 + 1}`)).rejects.toThrow('more than 524288 bytes')
  })

  test('is read as safely as the description: https stays https', async () => {
    const local = 'http://127.0.0.1:9000'

    expect(await readFrom({ issuer: local, jwks_uri: `${local}/keys` }, local)).toBe(`${local}/keys`)
    expect(await readFrom({ issuer: local, jwks_uri: `${ISSUER}/keys` }, local)).toBe(`${ISSUER}/keys`)
    for (const uri of ['http://login.example/keys', 'file:///etc/passwd', '/keys', ['https://login.example'], null]) {
      expect(await readFrom({ issuer: ISSUER, jwks_uri: uri })).toEndWith('has no usable jwks_uri')
    }
  })
})
