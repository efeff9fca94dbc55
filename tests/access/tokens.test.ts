import { expect, test } from 'bun:test'
import { createTokens } from '#access/tokens.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { makeKey, signToken } from '#tests/support/issuer.ts'

const ISSUER = 'https://login.example'

test('a token that was checked while its key was withdrawn is not remembered', async () => {
  const [old, next] = await Promise.all([makeKey('old'), makeKey('next')])
  const clock = fakeClock()
  let published = [old.jwk]
  const settings = { issuer: [ISSUER], audience: ['citadel'], jwks_url: `${ISSUER}/jwks`, algorithms: ['RS256'] }
  const claims = { roles_claim: 'roles', roles: {}, tenant_claim: null, models_claim: null, limits_claim: 'limits' }
  const tokens = createTokens(
    { ...settings, ...claims, secret: null, leeway: 0 },
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
