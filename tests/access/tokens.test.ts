import { expect, test } from 'bun:test'
import { createTokens, readToken } from '#access/tokens.ts'
import { fakeClock } from '#tests/support/clock.ts'
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
