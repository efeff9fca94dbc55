import { describe, expect, test } from 'bun:test'
import type { ConfigInput } from '#config/schema.ts'
import { requestReport } from '#wire/requests.ts'
import { type Edge, edgeOf, errorOf } from './edge.ts'

const OWN = 'sk-key-of-an-application'
const OTHER = 'sk-key-of-another-one'
const VIEWER = 'sk-key-of-a-dashboard'
const OPERATOR = 'sk-key-of-a-fleet'
const withKey = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })

const auth: ConfigInput['auth'] = {
  keys: [
    { name: 'web', key: OWN },
    { name: 'app', key: OTHER },
    { name: 'dashboard', key: VIEWER, role: 'viewer' },
    { name: 'fleet', key: OPERATOR, role: 'operator' },
  ],
}

const idOf = (response: Response) => response.headers.get('x-request-id') ?? ''

async function reportOf(edge: Edge, id: string, asking = {}) {
  const response = await edge.ask(`/v1/requests/${id}`, asking)
  return { status: response.status, report: requestReport.parse(await response.json()) }
}

describe('what happened to a request', () => {
  test('is told with everything that is known', async () => {
    const edge = await edgeOf()
    const answered = await edge.chat()

    const { status, report } = await reportOf(edge, idOf(answered))

    expect(status).toBe(200)
    expect(report).toMatchObject({
      id: idOf(answered),
      outcome: 'ok',
      status: 200,
      code: null,
      route: '/v1/chat/completions',
      caller: 'anonymous',
      stream: false,
      model: 'citadel-demo',
      attempts: [{ result: 'ok' }],
    })
    expect(report.candidates).toHaveLength(1)
    expect(report.candidates[0]?.reason).toContain('citadel-demo')
    expect(report.strategy).not.toBeNull()
    expect(report.usage?.output).toBeGreaterThan(0)
  })

  test('never holds a prompt, an answer or an address', async () => {
    const edge = await edgeOf()
    const body = { model: 'citadel-demo', messages: [{ role: 'user', content: 'The secret is xyzzy.' }] }
    const answered = await edge.chat({ body })

    const text = await (await edge.ask(`/v1/requests/${idOf(answered)}`)).text()

    expect(await answered.text()).toContain('xyzzy')
    expect(text).not.toContain('xyzzy')
    expect(text).not.toContain('203.0.113.7')
    expect(text).not.toContain('://')
  })

  test('is told of requests that were refused', async () => {
    const edge = await edgeOf()
    const refused = await edge.chat({ body: { model: 'nothing', messages: [] } })

    const { report } = await reportOf(edge, idOf(refused))

    expect(report).toMatchObject({ outcome: 'denied', status: 400, code: 'invalid_request', model: null, usage: null })
    expect(report.cost_usd).toBe(0)
  })

  test('is also served without /v1, and not kept by caches', async () => {
    const edge = await edgeOf()

    const response = await edge.ask(`/requests/${idOf(await edge.chat())}/`)

    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  test('is forgotten for what is no call of a known caller', async () => {
    const edge = await edgeOf({ auth })
    const health = await edge.ask('/health')
    const stranger = await edge.chat()
    const cleared = await edge.ask('/management/cache/clear', { method: 'POST', ...withKey(OPERATOR) })

    expect([stranger.status, cleared.status]).toEqual([401, 200])
    for (const response of [health, stranger, cleared]) {
      expect((await edge.ask(`/v1/requests/${idOf(response)}`, withKey(VIEWER))).status).toBe(404)
    }
  })
})

describe('who may know', () => {
  test('is the key that called, and whoever may watch', async () => {
    const edge = await edgeOf({ auth })
    const id = idOf(await edge.chat({ ...withKey(OWN) }))

    expect((await edge.ask(`/v1/requests/${id}`, withKey(OWN))).status).toBe(200)
    expect((await edge.ask(`/v1/requests/${id}`, { ...withKey(OWN), from: '198.51.100.9' })).status).toBe(200)
    expect((await edge.ask(`/v1/requests/${id}`, withKey(VIEWER))).status).toBe(200)
    expect((await edge.ask(`/v1/requests/${id}`)).status).toBe(401)
  })

  test('is nobody else: they are answered as if there were none', async () => {
    const edge = await edgeOf({ auth })
    const id = idOf(await edge.chat({ ...withKey(OWN) }))

    const hidden = await edge.ask(`/v1/requests/${id}`, withKey(OTHER))
    const missing = await edge.ask('/v1/requests/019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f', withKey(OTHER))

    expect([hidden.status, missing.status]).toEqual([404, 404])
    expect([...hidden.headers.keys()]).toEqual([...missing.headers.keys()])
    const error = await errorOf(hidden)
    expect(error.code).toBe('not_found')
    expect(error).toEqual(await errorOf(missing))
  })

  test('is the address where no key is needed', async () => {
    const edge = await edgeOf()
    const id = idOf(await edge.chat({ from: '203.0.113.1' }))

    expect((await edge.ask(`/v1/requests/${id}`, { from: '203.0.113.1' })).status).toBe(200)
    expect((await edge.ask(`/v1/requests/${id}`, { from: '203.0.113.2' })).status).toBe(404)
  })
})

describe('across tenants', () => {
  const tenants: ConfigInput['auth'] = {
    keys: [
      { name: 'shop', key: OWN, tenant: 'shop' },
      { name: 'shop-dashboard', key: 'sk-of-the-shop-dashboard', tenant: 'shop', role: 'viewer' },
      { name: 'bank', key: OTHER, tenant: 'bank' },
      { name: 'bank-admin', key: 'sk-of-the-bank-admin', tenant: 'bank', role: 'admin' },
      { name: 'dashboard', key: VIEWER, role: 'viewer' },
      { name: 'fleet', key: OPERATOR, role: 'operator' },
    ],
  }

  test.each([
    [OWN, 200],
    ['sk-of-the-shop-dashboard', 200],
    [OTHER, 404],
    ['sk-of-the-bank-admin', 404],
    [VIEWER, 200],
  ])('%s sees a request of the shop: %i', async (key, status) => {
    const edge = await edgeOf({ auth: tenants })
    const id = idOf(await edge.chat(withKey(OWN)))

    const foreign = await edge.ask(`/v1/requests/${id}`, withKey(key))
    const missing = await edge.ask('/v1/requests/019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f', withKey(key))

    expect(foreign.status).toBe(status)
    if (status === 404) expect(await foreign.text()).toBe(await missing.text())
  })
})
