import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHmac, createSign } from 'node:crypto'
import { exportPKCS8, exportSPKI } from 'jose'
import type { ConfigInput } from '#config/schema.ts'
import { configFrom } from '#src/index.ts'
import { type Issuer, type IssuerKey, makeKey, signToken, startIssuer } from '#tests/support/issuer.ts'
import { type Edge, edgeOf, errorOf } from './edge.ts'

/** The moment at which the clock of the tests begins, in seconds. */
const NOW = Date.UTC(2026, 0, 1) / 1000
const AUDIENCE = 'citadel'
const SECRET = 'a-shared-secret-of-32-characters!'

let first: IssuerKey
let second: IssuerKey
let curve: IssuerKey
let edwards: IssuerKey
let foreign: IssuerKey
let issuer: Issuer

beforeAll(async () => {
  ;[first, second, curve, edwards, foreign] = await Promise.all([
    makeKey('first'),
    makeKey('second'),
    makeKey('curve', 'ES256'),
    makeKey('edwards', 'EdDSA'),
    makeKey('first'),
  ])
  issuer = startIssuer(first, curve, edwards)
})
afterAll(() => issuer[Symbol.asyncDispose]())

type Jwt = NonNullable<NonNullable<ConfigInput['auth']>['jwt']>

function edgeWith(jwt: Jwt = {}, more: ConfigInput = {}): Promise<Edge> {
  const auth = { ...more.auth, jwt: { issuer: issuer.url, audience: AUDIENCE, ...jwt } }
  return edgeOf({ ...more, auth: { failures_per_minute: 0, ...auth } })
}

function claims(more: object = {}) {
  return { iss: issuer.url, aud: AUDIENCE, sub: 'user-1', exp: NOW + 600, ...more }
}

async function status(edge: Edge, token: string): Promise<number> {
  return (await edge.chat({ headers: { authorization: `Bearer ${token}` } })).status
}

/** A token whose parts are whatever a test says; `sign` makes the last one of the first two. */
function forge(header: unknown, payload: unknown, sign: (input: string) => string): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part(header)}.${part(payload)}`
  return `${input}.${sign(input)}`
}

const unsigned = () => ''
const byForeign = async (header: object) => signToken(foreign, claims(), { ...header })
const hmac = (secret: string) => (input: string) => createHmac('sha256', secret).update(input).digest('base64url')

/** Every kind of token and what a model call with it gets. */
const TABLE: readonly (readonly [name: string, status: number, token: () => string | Promise<string>])[] = [
  ['a good one, RS256', 200, () => signToken(first, claims())],
  ['a good one, ES256', 200, () => signToken(curve, claims())],
  ['a good one, EdDSA', 200, () => signToken(edwards, claims())],
  ['a good one with a type', 200, () => signToken(first, claims(), { typ: 'at+jwt' })],
  ['several audiences, ours among them', 200, () => signToken(first, claims({ aud: ['other', AUDIENCE] }))],
  ['not valid before this second', 200, () => signToken(first, claims({ nbf: NOW }))],
  ['not valid before a moment within the leeway', 200, () => signToken(first, claims({ nbf: NOW + 29 }))],
  ['expired within the leeway', 200, () => signToken(first, claims({ exp: NOW - 29 }))],
  ['expiry as a fraction', 200, () => signToken(first, claims({ exp: NOW + 0.5 }))],
  [
    'a good signature beside addresses of foreign keys',
    200,
    () => signToken(first, claims(), { jku: 'http://evil.test/jwks', x5u: 'http://evil.test/x' }),
  ],
  ['algorithm none', 401, () => forge({ alg: 'none' }, claims(), unsigned)],
  ['algorithm None', 401, () => forge({ alg: 'None', kid: 'first' }, claims(), unsigned)],
  ['no algorithm', 401, () => forge({ kid: 'first' }, claims(), unsigned)],
  [
    'RS256 without its signature',
    401,
    async () => `${(await signToken(first, claims())).split('.').slice(0, 2).join('.')}.`,
  ],
  [
    'HS256 with the public key as the secret',
    401,
    async () => forge({ alg: 'HS256', kid: 'first' }, claims(), hmac(await exportSPKI(first.publicKey))),
  ],
  ['HS256 with an empty secret', 401, () => forge({ alg: 'HS256', kid: 'first' }, claims(), hmac(''))],
  [
    'an algorithm of another key',
    401,
    async () =>
      (await signToken(curve, claims())).replace(
        /^[^.]+/,
        Buffer.from('{"alg":"RS256","kid":"first"}').toString('base64url'),
      ),
  ],
  ['an algorithm that is not allowed', 401, () => forge({ alg: 'ES256K', kid: 'first' }, claims(), unsigned)],
  ['a foreign key under a known id', 401, () => byForeign({})],
  ['a foreign key that is embedded', 401, () => byForeign({ jwk: foreign.jwk })],
  ['a foreign key at an address', 401, () => byForeign({ jku: `${issuer.url}/foreign` })],
  ['a foreign key in a certificate', 401, () => byForeign({ x5u: 'http://evil.test/x', x5c: ['AAAA'] })],
  ['an unknown key id', 401, () => signToken({ ...first, kid: 'other' }, claims())],
  ['a key id that is a path', 401, () => signToken({ ...foreign, kid: '../../dev/null' }, claims())],
  ['a key id of SQL', 401, () => signToken({ ...foreign, kid: "x' UNION SELECT 'a" }, claims())],
  ['a foreign key without an id', 401, () => signToken(foreign, claims(), { kid: undefined })],
  ['a good one without a key id', 200, () => signToken(first, claims(), { kid: undefined })],
  ['a critical header that nobody knows', 401, () => signWithCrit()],
  ['another audience', 401, () => signToken(first, claims({ aud: 'other' }))],
  ['other audiences', 401, () => signToken(first, claims({ aud: ['a', 'b'] }))],
  ['no audience', 401, () => signToken(first, claims({ aud: undefined }))],
  ['an audience that is a number', 401, () => signToken(first, { ...claims(), aud: [1] as never })],
  ['another issuer', 401, () => signToken(first, claims({ iss: 'http://evil.test' }))],
  ['an issuer with a slash more', 401, () => signToken(first, claims({ iss: `${issuer.url}/` }))],
  ['no issuer', 401, () => signToken(first, claims({ iss: undefined }))],
  ['expired', 401, () => signToken(first, claims({ exp: NOW - 31 }))],
  ['no expiry', 401, () => signToken(first, claims({ exp: undefined }))],
  ['expiry as text', 401, () => signToken(first, { ...claims(), exp: String(NOW + 600) as never })],
  ['not valid yet', 401, () => signToken(first, claims({ nbf: NOW + 31 }))],
  ['not before as text', 401, () => signToken(first, { ...claims(), nbf: 'now' as never })],
  ['no subject', 401, () => signToken(first, claims({ sub: undefined }))],
  ['a subject with a line break', 401, () => signToken(first, claims({ sub: 'a\nb' }))],
  ['huge', 401, () => signToken(first, claims({ filler: 'x'.repeat(9000) }))],
  ['truncated', 401, async () => (await signToken(first, claims())).slice(0, -20)],
  [
    'changed',
    401,
    async () =>
      (await signToken(first, claims())).replace(
        /\.[^.]+\./,
        `.${Buffer.from(JSON.stringify(claims({ sub: 'admin' }))).toString('base64url')}.`,
      ),
  ],
  ['encrypted, in five parts', 401, () => 'eyJhbGciOiJkaXIifQ.a.b.c.d'],
  ['parts that are no JSON', 401, () => 'AAAA.BBBB.CCCC'],
  ['a payload that is a list', 401, () => forge({ alg: 'RS256', kid: 'first' }, [], unsigned)],
  ['two parts', 401, () => 'eyJhbGciOiJSUzI1NiJ9.e30'],
]

async function signWithCrit(): Promise<string> {
  const key = await exportPKCS8(first.privateKey)
  const sign = (input: string) => createSign('sha256').update(input).sign(key, 'base64url')
  return forge({ alg: 'RS256', kid: 'first', crit: ['x'], x: 1 }, claims(), sign)
}

describe('a token', () => {
  test.each(TABLE)('%s: %i', async (_, expected, token) => {
    const edge = await edgeWith()
    const sent = await token()

    const answers = [await status(edge, sent), await status(edge, sent)]

    expect(answers).toEqual([expected, expected])
  })

  test('never makes the gateway read anything but the keys of its issuers', () => {
    expect(new Set(issuer.asked)).toEqual(new Set(['/.well-known/openid-configuration', '/jwks']))
  })

  test('is refused in the words for any wrong key, without a word of its own', async () => {
    const edge = await edgeWith()

    const response = await edge.chat({
      headers: { authorization: `Bearer ${await signToken(first, claims({ exp: 1 }))}` },
    })

    expect(await errorOf(response)).toEqual({
      message: 'The API key is not valid.',
      type: 'authentication_error',
      param: null,
      code: 'invalid_api_key',
    })
  })

  test.each(['x-api-key', 'api-key'])('is refused in the header %s', async name => {
    const edge = await edgeWith()

    expect((await edge.chat({ headers: { [name]: await signToken(first, claims()) } })).status).toBe(401)
  })

  test('is refused when a key is sent beside it', async () => {
    const edge = await edgeWith({}, { auth: { keys: [{ name: 'a', key: 'sk-of-somebody' }] } })
    const authorization = `Bearer ${await signToken(first, claims())}`

    expect((await edge.chat({ headers: { authorization, 'x-api-key': 'sk-of-somebody' } })).status).toBe(401)
    expect((await edge.chat({ headers: { authorization: 'Bearer sk-of-somebody' } })).status).toBe(200)
  })

  test('is needed as soon as an issuer is configured', async () => {
    expect((await (await edgeWith()).chat()).status).toBe(401)
  })
})

describe('HMAC', () => {
  const algorithms = ['HS256'] as const
  const signed = (secret: string) => forge({ alg: 'HS256' }, claims(), hmac(secret))

  test('is checked with the secret alone', async () => {
    const edge = await edgeWith({ algorithms: [...algorithms], secret: SECRET })

    expect(await status(edge, signed(SECRET))).toBe(200)
    expect(await status(edge, signed('another-secret-of-32-characters!!'))).toBe(401)
    expect(await status(edge, await signToken(first, claims()))).toBe(401)
  })

  test('beside public keys never takes one of them for the secret', async () => {
    const edge = await edgeWith({ algorithms: ['RS256', 'HS256'], secret: SECRET })

    expect(await status(edge, signed(await exportSPKI(first.publicKey)))).toBe(401)
    expect(await status(edge, signed(SECRET))).toBe(200)
    expect(await status(edge, await signToken(first, claims()))).toBe(200)
  })
})

describe('claims', () => {
  /** What `GET /v1/models` and the pages of roles show to a token. */
  async function rights(jwt: Jwt, more: object, config: ConfigInput = {}) {
    const edge = await edgeWith(jwt, config)
    const headers = { authorization: `Bearer ${await signToken(first, claims(more))}` }
    const metrics = (await edge.ask('/metrics', { headers })).status
    const models = await edge.ask('/v1/models', { headers })
    const list = models.status === 200 ? ((await models.json()) as { data: { id: string }[] }).data : null
    return { metrics, models: list?.map(({ id }) => id) ?? null }
  }

  test.each([
    [{}, 403],
    [{ roles: 'viewer' }, 200],
    [{ roles: 'caller viewer' }, 200],
    [{ roles: ['caller', 'admin'] }, 200],
    [{ roles: ['caller', 'constructor', '__proto__'] }, 403],
    [{ roles: ['Admin'] }, 403],
    [{ scope: 'admin' }, 403],
  ])('%j give the role that opens the metrics with %i', async (more, expected) => {
    expect((await rights({}, more)).metrics).toBe(expected)
  })

  test.each([{ roles: { admin: true } }, { roles: [1] }, { roles: 5 }])(
    'with the value %j make the token invalid',
    async more => {
      expect((await rights({}, more)).metrics).toBe(401)
    },
  )

  test('are mapped to roles by name, and then no others count', async () => {
    const jwt: Jwt = { roles_claim: 'realm_access.roles', roles: { 'gateway-watchers': 'viewer' } }

    expect((await rights(jwt, { realm_access: { roles: ['gateway-watchers'] } })).metrics).toBe(200)
    expect((await rights(jwt, { realm_access: { roles: ['admin'] } })).metrics).toBe(403)
    // Nothing at the end of the path is no role, and not a bad token.
    for (const realm_access of [undefined, null, 'roles', ['gateway-watchers'], {}])
      expect((await rights(jwt, { realm_access })).metrics).toBe(403)
  })

  test('may have dots in their names', async () => {
    const jwt: Jwt = { roles_claim: 'https://example.com/roles' }

    expect((await rights(jwt, { 'https://example.com/roles': ['viewer'] })).metrics).toBe(200)
  })

  test('say which models may be used; a claim that is missing means none', async () => {
    const models = { open: { endpoint: 'http://127.0.0.1:9' }, closed: { endpoint: 'http://127.0.0.1:9' } }
    const jwt: Jwt = { models_claim: 'models' }

    expect((await rights(jwt, { models: ['open'] }, { models })).models).toEqual(['open'])
    expect((await rights(jwt, {}, { models })).models).toEqual([])
    expect((await rights({}, { models: ['open'] }, { models })).models).toContain('closed')
  })

  test('limit the requests of the subject of the token', async () => {
    const edge = await edgeWith()
    const token = await signToken(first, claims({ limits: { requests_per_minute: 2 } }))
    const other = await signToken(first, claims({ sub: 'user-2' }))

    const answers = [await status(edge, token), await status(edge, token), await status(edge, token)]

    expect(answers).toEqual([200, 200, 429])
    expect(await status(edge, other)).toBe(200)
    expect(await status(edge, await signToken(first, claims({ limits: { requests_per_minute: 0 } })))).toBe(401)
  })

  test('name the caller and its tenant in the log', async () => {
    const edge = await edgeWith({ tenant_claim: 'org' })
    await status(edge, await signToken(first, claims({ org: 'shop' })))
    const without = await status(edge, await signToken(first, claims()))

    const [line = ''] = (await edge.log()).filter(text => text.includes('"message":"request"'))

    expect(JSON.parse(line)).toMatchObject({ caller: `${issuer.url}#user-1`, tenant: 'shop' })
    expect(without).toBe(401)
  })
})

describe('the mode', () => {
  test('none ignores tokens, but not what they allow beyond calls', async () => {
    const edge = await edgeWith({}, { auth: { mode: 'none' } })
    const viewer = await signToken(first, claims({ roles: ['viewer'] }))

    expect(await status(edge, await signToken(foreign, claims()))).toBe(200)
    expect((await edge.ask('/metrics', { headers: { authorization: `Bearer ${viewer}` } })).status).toBe(200)
  })

  test('none lets everybody in also while keys cannot be read', async () => {
    await using own = startIssuer(first)
    await own.down()
    const edge = await edgeWith({ issuer: own.url }, { auth: { mode: 'none' } })
    const headers = { authorization: `Bearer ${await signToken(first, claims({ iss: own.url, roles: ['viewer'] }))}` }

    expect((await edge.chat({ headers })).status).toBe(200)
    expect((await edge.ask('/metrics', { headers })).status).toBe(200)
  })

  test('optional refuses a bad token', async () => {
    const edge = await edgeWith({}, { auth: { mode: 'optional' } })

    expect((await edge.chat()).status).toBe(200)
    expect(await status(edge, await signToken(foreign, claims()))).toBe(401)
  })
})

describe('the keys of an issuer', () => {
  test('are read once for many tokens, from where the issuer says', async () => {
    await using own = startIssuer(first)
    const edge = await edgeWith({ issuer: own.url })
    const tokens = await Promise.all([1, 2, 3].map(n => signToken(first, claims({ iss: own.url, sub: `user-${n}` }))))

    expect(await Promise.all(tokens.map(token => status(edge, token)))).toEqual([200, 200, 200])
    expect(own.asked).toEqual(['/.well-known/openid-configuration', '/jwks'])
  })

  test('are read at their own address when it is configured', async () => {
    await using own = startIssuer(first)
    const edge = await edgeWith({ issuer: ['urn:one', 'urn:two'], jwks_url: own.jwksUrl })

    expect(await status(edge, await signToken(first, claims({ iss: 'urn:two' })))).toBe(200)
    expect(own.asked).toEqual(['/jwks'])
  })

  test('of one issuer sign nothing for another', async () => {
    await using own = startIssuer(second)
    const edge = await edgeWith({ issuer: [issuer.url, own.url] })

    expect(await status(edge, await signToken(second, claims({ iss: own.url })))).toBe(200)
    expect(await status(edge, await signToken(second, claims()))).toBe(401)
  })

  test('may change: the new one is read when its id turns up, but not at every unknown id', async () => {
    await using own = startIssuer(first)
    const edge = await edgeWith({ issuer: own.url, jwks_url: own.jwksUrl })
    const mine = (key: IssuerKey, more: object = {}) => signToken(key, claims({ iss: own.url, ...more }))
    const old = await mine(first)
    await status(edge, old)
    own.publish(second)
    edge.clock.advance(30_000)

    expect(await status(edge, await mine(second))).toBe(200)
    expect(await status(edge, old)).toBe(401)
    for (const n of [1, 2, 3]) expect(await status(edge, await mine({ ...foreign, kid: `invented-${n}` }))).toBe(401)
    expect(own.asked).toHaveLength(2)
  })

  test('that cannot be read are 503, for a good token as for a bad one', async () => {
    await using own = startIssuer(first)
    await own.down()
    const edge = await edgeWith({ issuer: own.url })

    const response = await edge.chat({
      headers: { authorization: `Bearer ${await signToken(first, claims({ iss: own.url }))}` },
    })

    expect(response.status).toBe(503)
    expect((await errorOf(response)).code).toBe('dependency_unavailable')
    expect(response.headers.get('retry-after')).toBe('5')
    own.up()
    edge.clock.advance(5000)
    expect(await status(edge, await signToken(first, claims({ iss: own.url })))).toBe(200)
  })

  test('go on to hold for an hour while they cannot be read, and a new id is 503 meanwhile', async () => {
    await using own = startIssuer(first)
    const edge = await edgeWith({ issuer: own.url })
    const lasting = (sub: string) => signToken(first, claims({ iss: own.url, sub, exp: NOW + 86_400 }))
    const known = await lasting('known')
    await status(edge, known)
    await own.down()

    await edge.pass(69 * 60_000)
    expect(await status(edge, known)).toBe(200)
    expect(await status(edge, await lasting('new'))).toBe(200)
    expect(await status(edge, await signToken(second, claims({ iss: own.url, exp: NOW + 86_400 })))).toBe(503)
    await edge.pass(2 * 60_000)
    expect(await status(edge, known)).toBe(503)
    expect(await status(edge, await lasting('later'))).toBe(503)
  })

  test.each([
    ['another status', () => new Response('', { status: 500 })],
    ['a redirect', () => Response.redirect(`${issuer.url}/jwks`)],
    ['no JSON', () => new Response('<html>')],
    ['no keys', () => Response.json({ keys: [] })],
    ['a secret as a key', () => Response.json({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'first' }] })],
    ['a private key', () => Response.json({ keys: [{ kty: 'RSA', d: 'AQ', n: 'AQ', e: 'AQAB', kid: 'first' }] })],
    ['endless keys', () => new Response('x'.repeat(600_000))],
  ])('that are %s are not accepted', async (_, answer) => {
    await using own = startIssuer(first)
    own.answer(answer)
    const edge = await edgeWith({ issuer: own.url, jwks_url: own.jwksUrl })

    expect(await status(edge, await signToken(first, claims({ iss: own.url })))).toBe(503)
  })

  test('are not taken from an issuer that says it is another one', async () => {
    await using own = startIssuer(first)
    own.answer(() => Response.json({ issuer: 'http://other.test', jwks_uri: own.jwksUrl }))
    const edge = await edgeWith({ issuer: own.url })

    expect(await status(edge, await signToken(first, claims({ iss: own.url })))).toBe(503)
    expect((await edge.log()).filter(line => line.includes('cannot be read'))).toHaveLength(1)
  })

  test('outlive a change of the configuration that leaves them alone', async () => {
    await using own = startIssuer(first)
    const edge = await edgeWith({ issuer: own.url })
    const token = await signToken(first, claims({ iss: own.url }))
    await status(edge, token)
    await own.down()
    edge.gateway.reload(
      configFrom({ gateway: { demo: true, discover: false }, auth: { jwt: { issuer: own.url, audience: AUDIENCE } } }),
    )

    expect(await status(edge, token)).toBe(200)
  })
})
