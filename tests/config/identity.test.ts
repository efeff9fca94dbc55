import { describe, expect, test } from 'bun:test'
import { complaints, loadText, loadTexts } from '#tests/support/config-texts.ts'

const SECRET = 'a-shared-secret-of-32-characters!'

describe('auth.jwt', () => {
  test('takes one issuer and audience, or lists of them', async () => {
    const one = await loadText('auth: { jwt: { issuer: "https://a", audience: x } }')
    const several = await loadText('auth: { jwt: { issuer: ["https://a", "https://b"], audience: [x, y] } }')

    expect(one.config.auth.jwt).toMatchObject({ issuer: ['https://a'], audience: ['x'], jwks_url: null })
    expect(several.config.auth.jwt).toMatchObject({ issuer: ['https://a', 'https://b'], audience: ['x', 'y'] })
    expect([one.warnings, several.warnings]).toEqual([[], []])
  })

  test('accepts by default only what is signed with a private key', async () => {
    const { config } = await loadText('')

    expect(config.auth.jwt.algorithms.filter(name => name.startsWith('HS'))).toEqual([])
    expect(config.auth.jwt.algorithms).not.toContain('none')
  })

  test.each([
    ['issuer: "https://a"', 'auth.jwt.issuer: needs auth.jwt.audience: a token for another service is not for this'],
    ['audience: x', 'auth.jwt.audience: needs auth.jwt.issuer'],
    ['jwks_url: "https://a"', 'auth.jwt.jwks_url: needs auth.jwt.issuer'],
    ['secret: x', 'auth.jwt.secret: needs auth.jwt.issuer'],
    ['issuer: a, audience: x', 'auth.jwt.issuer: is no address: set auth.jwt.jwks_url too'],
    ['issuer: ["https://a", b], audience: x', 'auth.jwt.issuer: is no address: set auth.jwt.jwks_url too'],
    ['issuer: "https://a?b", audience: x', 'auth.jwt.issuer: is no address: set auth.jwt.jwks_url too'],
    ['issuer: "https://a", audience: x, algorithms: [HS256]', 'auth.jwt.algorithms: HS256 needs auth.jwt.secret'],
    [
      `issuer: "https://a", audience: x, secret: ${SECRET}`,
      'auth.jwt.secret: needs HS256, HS384 or HS512 in algorithms',
    ],
    ['issuer: a, audience: x, algorithms: [HS256], secret: short', 'auth.jwt.secret: needs 32 characters or more'],
  ])('{ %s } is refused', async (jwt, message) => {
    const said = await complaints(loadText(`auth: { jwt: { ${jwt} } }`))

    expect(said.map(line => line.replace(/^\S+ {2}/, ''))).toEqual([message])
  })

  test.each([
    'issuer: a, audience: x, jwks_url: "https://a"',
    `issuer: a, audience: x, algorithms: [HS256], secret: ${SECRET}`,
    `issuer: "http://a", audience: x, algorithms: [HS256, RS256], secret: ${SECRET}`,
  ])('{ %s } is taken', async jwt => {
    expect((await loadText(`auth: { jwt: { ${jwt} } }`)).config.auth.jwt.audience).toEqual(['x'])
  })

  test.each(['none', 'RS128', 'rs256'])('knows no algorithm %s', async name => {
    expect(
      await complaints(loadText(`auth: { jwt: { issuer: "https://a", audience: x, algorithms: [${name}] } }`)),
    ).toEqual([expect.stringContaining('auth.jwt.algorithms.0: expected one of RS256, ')])
  })
})

test('secrets of tokens and signatures may stand in files', async () => {
  const text = `auth:
  jwt: { issuer: a, audience: x, algorithms: [HS256], secret_file: jwt }
  keys: [{ name: a, key: k, signing_secret_file: /run/sign }]`
  const others = { '/etc/citadel/jwt': `${SECRET}\n`, '/run/sign': 'two\n' }

  const { config } = await loadTexts({ '/etc/citadel/gateway.yaml': text }, { others })

  expect(config.auth.jwt.secret).toBe(SECRET)
  expect(config.auth.keys[0]?.signing_secret).toBe('two')
})

test('the files of https start at the file that names them', async () => {
  const text = 'service: { tls: { cert_file: tls/server.pem, key_file: /run/server.key } }'

  const { config, warnings } = await loadTexts({ '/etc/citadel/gateway.yaml': text })

  expect(config.service.tls).toEqual({
    cert_file: '/etc/citadel/tls/server.pem',
    key_file: '/run/server.key',
    ca_file: null,
  })
  expect(warnings).toEqual([])
})
