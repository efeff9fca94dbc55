import { describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import type { ConfigInput } from '#config/schema.ts'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { edgeOf, errorOf } from './edge.ts'

const KEYS = {
  caller: 'sk-key-of-a-caller',
  viewer: 'sk-key-of-a-viewer',
  operator: 'sk-key-of-an-operator',
  admin: 'sk-key-of-an-admin',
} as const
type Role = keyof typeof KEYS
const ROLES = Object.keys(KEYS) as Role[]
const keys = ROLES.map(role => ({ name: `the-${role}`, key: KEYS[role], role }))

const table = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)
const routes = table.map(({ method, path, access }) => ({
  method,
  path: path.replace(':id{.+}', 'citadel-demo').replace(':page{.+}', 'clients').replace(':type', 'deploy'),
  access,
}))

type Mode = 'none' | 'optional' | 'required' | 'auto'

function edgeWith(mode: Mode, withKeys = true) {
  return edgeOf({ auth: { mode, keys: withKeys ? keys : [], jwt: withKeys ? jwt : {} } } satisfies ConfigInput)
}

const SECRET = 'a-shared-secret-of-32-characters!'
const jwt = { issuer: 'idp', audience: 'citadel', algorithms: ['HS256' as const], secret: SECRET }

/** What somebody with this role may come with. */
const CREDENTIALS = {
  key: (role: Role) => KEYS[role],
  token(role: Role) {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = { iss: 'idp', aud: 'citadel', sub: 'somebody', roles: [role], exp: 4_000_000_000 }
    const signed = `${part({ alg: 'HS256' })}.${part(claims)}`
    return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`
  },
} as const

/** What somebody with this role gets from a route: 401 without a key where one is needed, 403 with one that is not
 * enough; a body that is none is 400, which shows that the way in was open. */
function expected(access: string, role: Role | null, mode: Mode, { method, path }: (typeof routes)[number]): number {
  const writes = method === 'POST' || method === 'PATCH'
  if (path.endsWith('/cache/clear'))
    return expected(access, role, mode, { access: 'operator', method: 'GET', path: '' })
  // What is not there is looked for before a body is missed that may be empty.
  const unknown = /rotate$|heartbeat$|failover|recover|servers\/:id/.test(path)
  const bodiless = path.endsWith('/reload')
  const open = bodiless ? 200 : unknown || (path.endsWith('/keys/:id') && !writes) ? 404 : writes ? 400 : 200
  // No key stands in for a signature.
  if (access === 'signed') return 401
  if (access === 'anyone' || (mode === 'none' && (access === 'caller' || access === 'observer'))) return open
  if (access === 'caller') return role === null && mode !== 'optional' ? 401 : open
  if (role === null) return 401
  const needed: string = access === 'observer' ? 'viewer' : access
  if (ROLES.slice(ROLES.indexOf(role) + 1).every(each => each !== needed)) return open
  return 403
}

const everybody = [null, ...ROLES]
const cases = (['none', 'optional', 'required', 'auto'] as const).flatMap(mode =>
  (['key', 'token'] as const).flatMap(by => everybody.map(role => [mode, role ?? 'nobody', by, role] as const)),
)

test.each(cases)('with auth.mode %s, %s by %s gets from each route what the table says', async (mode, _, by, role) => {
  const edge = await edgeWith(mode)
  const headers: Record<string, string> = role === null ? {} : { authorization: `Bearer ${CREDENTIALS[by](role)}` }

  const request = (await edge.chat({ headers })).headers.get('x-request-id') ?? ''

  for (const route of routes) {
    const { method, path, access } = route
    const { status } = await edge.ask(path.replace(':id', request), { method, headers })

    expect(status, `${method} ${path}`).toBe(expected(access, role, mode, route))
  }
})

test('auto needs no key until there is one', async () => {
  const [without, withKeys] = [await edgeWith('auto', false), await edgeWith('auto')]

  expect((await without.chat()).status).toBe(200)
  expect((await withKeys.chat()).status).toBe(401)
})

describe('a key', () => {
  const carriers: readonly Record<string, string>[] = [
    { authorization: `Bearer ${KEYS.caller}` },
    { authorization: `bearer ${KEYS.caller}` },
    { authorization: `BEARER   ${KEYS.caller}` },
    { 'x-api-key': KEYS.caller },
    { 'api-key': KEYS.caller },
    { authorization: `Bearer ${KEYS.caller}`, 'x-api-key': KEYS.caller },
  ]

  test.each(carriers)('is read from the headers %j', async headers => {
    const edge = await edgeWith('required')

    expect((await edge.chat({ headers })).status).toBe(200)
  })

  const wrong: readonly Record<string, string>[] = [
    { authorization: 'Bearer sk-of-nobody' },
    { authorization: 'Bearer sk-key-of-a-caller2' },
    { authorization: 'Bearer SK-KEY-OF-A-CALLER' },
    { authorization: `Bearer ${KEYS.caller}, Bearer ${KEYS.admin}` },
    { authorization: `Bearer ${'x'.repeat(600)}` },
    { 'x-api-key': "' OR 1=1 --" },
    { 'x-api-key': 'expired-key-of-somebody' },
  ]

  test.each(wrong)('that is wrong is refused with the same words: %j', async headers => {
    const expired = { name: 'old', key: 'expired-key-of-somebody', expires: '2025-01-01' }
    const edge = await edgeOf({ auth: { keys: [...keys, expired] } })

    const response = await edge.chat({ headers })

    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toStartWith('Bearer')
    expect(await errorOf(response)).toEqual({
      message: 'The API key is not valid.',
      type: 'authentication_error',
      param: null,
      code: 'invalid_api_key',
    })
  })

  test('that is missing is told from one that is wrong', async () => {
    const edge = await edgeWith('required')

    expect((await errorOf(await edge.chat())).code).toBe('missing_api_key')
  })

  test('that stands for none is nobody’s where keys are optional, and a wrong one is refused', async () => {
    const edge = await edgeWith('optional')

    const placeholder = await edge.chat({ headers: { authorization: 'Bearer not-needed' } })
    const typo = await edge.chat({ headers: { authorization: 'Bearer sk-key-of-a-callr' } })

    expect([placeholder.status, typo.status]).toEqual([200, 401])
  })

  test('that is sent where none is needed is ignored', async () => {
    const edge = await edgeWith('none')

    // The second could be a key of this gateway, so that it is looked for.
    for (const key of ['whatever it is', `ck_${'x'.repeat(43)}`])
      expect((await edge.chat({ headers: { authorization: `Bearer ${key}` } })).status).toBe(200)
  })

  test('is refused from the moment of its expiry on', async () => {
    const edge = await edgeOf({ auth: { keys: [{ name: 'a', key: KEYS.caller, expires: '2026-01-01T00:01:00Z' }] } })
    const headers = { authorization: `Bearer ${KEYS.caller}` }

    await edge.pass(59_999)
    const before = await edge.chat({ headers })
    await edge.pass(1)
    const after = await edge.chat({ headers })

    expect([before.status, after.status]).toEqual([200, 401])
  })

  test('of an administrator opens what a viewer may see', async () => {
    const edge = await edgeOf({ auth: { admin_keys: ['sk-of-the-admin'] } })
    const headers = { authorization: 'Bearer sk-of-the-admin' }

    for (const path of ['/health/detailed', '/metrics', '/v1/models'])
      expect((await edge.ask(path, { headers })).status).toBe(200)
  })
})

describe('the models of a key', () => {
  const config: ConfigInput = {
    models: {
      open: { endpoint: 'http://127.0.0.1:9', aliases: ['also-open'] },
      closed: { endpoint: 'http://127.0.0.1:9' },
    },
    auth: { keys: [{ name: 'a', key: KEYS.caller, models: ['open'] }] },
  }
  const headers = { authorization: `Bearer ${KEYS.caller}` }

  test('are the only ones that it sees in the lists', async () => {
    const edge = await edgeOf(config)

    const list = (await (await edge.ask('/v1/models', { headers })).json()) as { data: { id: string }[] }

    expect(list.data.map(({ id }) => id)).toEqual(['open'])
    expect((await edge.ask('/v1/models/open', { headers })).status).toBe(200)
    expect((await edge.ask('/v1/models/closed', { headers })).status).toBe(404)
  })

  test('are the only ones that it may call', async () => {
    const edge = await edgeOf(config)

    const response = await edge.chat({
      headers,
      body: { model: 'closed', messages: [{ role: 'user', content: 'Hi' }] },
    })

    expect(response.status).toBe(403)
    expect((await errorOf(response)).code).toBe('model_not_allowed')
  })
})
