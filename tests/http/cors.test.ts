import { describe, expect, test } from 'bun:test'
import { type Asking, type Edge, edgeOf } from './edge.ts'

const PAGE = 'http://localhost:5173'
const FOREIGN = 'https://evil.example'

function preflight(edge: Edge, origin: string, headers: Asking['headers'] = {}): Promise<Response> {
  return edge.ask('/v1/chat/completions', {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', ...headers },
  })
}

describe('a preflight', () => {
  test('of an admitted page allows what it asks for, also headers that SDKs add', async () => {
    const edge = await edgeOf()
    const wanted = 'authorization,content-type,x-stainless-os,x-stainless-retry-count,x-brand-new'

    const { status, headers } = await preflight(edge, PAGE, { 'access-control-request-headers': wanted })

    expect(status).toBe(204)
    expect(headers.get('access-control-allow-origin')).toBe(PAGE)
    expect(headers.get('access-control-allow-headers')).toBe(wanted)
    expect(headers.get('access-control-allow-methods')).toContain('POST')
    expect(Number(headers.get('access-control-max-age'))).toBeGreaterThan(0)
    expect(headers.get('vary')).toBe('Origin, Access-Control-Request-Headers')
  })

  test('is answered without a key', async () => {
    const edge = await edgeOf({ auth: { mode: 'required', keys: [{ name: 'a', key: 'sk-of-somebody' }] } })

    expect((await preflight(edge, PAGE)).status).toBe(204)
  })

  test('may ask to reach a private network', async () => {
    const edge = await edgeOf()

    const asked = await preflight(edge, PAGE, { 'access-control-request-private-network': 'true' })
    const plain = await preflight(edge, PAGE)

    expect(asked.headers.get('access-control-allow-private-network')).toBe('true')
    expect(plain.headers.has('access-control-allow-private-network')).toBe(false)
  })

  test('of a foreign page is refused and allows nothing', async () => {
    const edge = await edgeOf()

    const { status, headers } = await preflight(edge, FOREIGN, { 'access-control-request-private-network': 'true' })

    expect(status).toBe(403)
    expect([...headers.keys()].filter(name => name.startsWith('access-control-'))).toEqual([])
    expect(headers.get('vary')).toContain('Origin')
  })

  test('lets a page send credentials only where the operator says so', async () => {
    const without = await preflight(await edgeOf(), PAGE)
    const withThem = await preflight(await edgeOf({ cors: { origins: [PAGE], credentials: true } }), PAGE)

    expect(without.headers.has('access-control-allow-credentials')).toBe(false)
    expect(withThem.headers.get('access-control-allow-credentials')).toBe('true')
  })
})

const OURS = /^x-(?!content-type)|^retry|^server-timing|^cache-status|^age$/

describe('an answer to a page', () => {
  test('names the origin and the headers that the page may read', async () => {
    const edge = await edgeOf()

    const { headers } = await edge.chat({ headers: { origin: PAGE } })

    expect(headers.get('access-control-allow-origin')).toBe(PAGE)
    expect(headers.get('vary')).toContain('Origin')
    for (const name of ['x-request-id', 'retry-after', 'x-ratelimit-remaining-requests', 'x-citadel-model'])
      expect(headers.get('access-control-expose-headers')).toContain(name)
  })

  test('exposes every header of ours that it has', async () => {
    const edge = await edgeOf({ gateway: { demo: true, headers: 'full' }, cache: { enabled: true } })

    const answers = [
      await edge.chat({ headers: { origin: PAGE } }),
      // A stored one.
      await edge.chat({ headers: { origin: PAGE } }),
      await edge.ask('/v1/models', { headers: { origin: PAGE } }),
    ]

    for (const { headers } of answers) {
      const exposed = headers.get('access-control-expose-headers')?.split(', ') ?? []
      const own = [...headers.keys()].filter(name => OURS.test(name))
      expect(own.filter(name => !exposed.includes(name))).toEqual([])
    }
    expect(answers[1]?.headers.get('cache-status')).toContain('hit')
  })

  test('of an admitted origin is readable also when it is an error', async () => {
    const auth = { mode: 'required', keys: [{ name: 'a', key: 'sk-of-somebody', limits: { requests_per_minute: 1 } }] }
    const edge = await edgeOf({ auth } as Parameters<typeof edgeOf>[0])
    const own = { origin: PAGE, authorization: 'Bearer sk-of-somebody' }
    await edge.chat({ headers: own })

    const answers = {
      401: await edge.chat({ headers: { origin: PAGE } }),
      404: await edge.ask('/nowhere', { headers: own }),
      405: await edge.ask('/v1/models', { method: 'POST', headers: own }),
      413: await edge.chat({ headers: { ...own, 'content-length': '99999999' } }),
      429: await edge.chat({ headers: own }),
    }

    for (const [status, { status: actual, headers }] of Object.entries(answers)) {
      expect(actual).toBe(Number(status))
      expect(headers.get('access-control-allow-origin'), status).toBe(PAGE)
      expect(headers.get('access-control-expose-headers'), status).toContain('x-request-id')
      expect(headers.get('vary'), status).toContain('Origin')
    }
  })

  test('of a foreign origin is not readable', async () => {
    const edge = await edgeOf()

    const { status, headers } = await edge.ask('/v1/models', { headers: { origin: FOREIGN } })

    expect(status).toBe(200)
    expect(headers.has('access-control-allow-origin')).toBe(false)
    expect(headers.get('vary')).toContain('Origin')
  })

  test('keeps Vary: Origin beside what else it varies by', async () => {
    const edge = await edgeOf()

    const root = await edge.ask('/', { headers: { origin: PAGE } })
    const document = await edge.ask('/openapi.json', { headers: { origin: PAGE, 'accept-encoding': 'gzip' } })
    const page = await edge.ask('/docs', { headers: { origin: PAGE } })

    expect(root.headers.get('vary')).toMatch(/Origin/)
    expect(root.headers.get('vary')).toMatch(/Accept/)
    expect(document.headers.get('vary')).toMatch(/Origin.*Accept-Encoding/)
    expect(page.headers.get('vary')).toMatch(/Origin/)
  })

  test('that is no page has no CORS headers', async () => {
    const edge = await edgeOf()

    const { headers } = await edge.ask('/v1/models')

    expect([...headers.keys()].filter(name => name.startsWith('access-control-'))).toEqual([])
  })
})

describe('the origins of the configuration', () => {
  const patterns = ['http://localhost:*', 'https://*.example.com', 'https://app.test']

  test.each([
    ['http://localhost:3000', true],
    ['http://localhost', true],
    ['https://a.example.com', true],
    ['https://a.b.example.com', true],
    ['https://app.test', true],
    ['https://example.com', false],
    ['https://localhost:3000', false],
    ['http://localhost.evil.example:3000', false],
    ['http://localhost:3000.evil.example', false],
    ['http://evil-localhost:3000', false],
    ['https://aexample.com', false],
    ['https://a.example.com.evil.example', false],
    ['https://app.test.evil.example', false],
    ['https://app.test:8443', false],
    ['http://app.test', false],
    ['null', false],
  ])('admit the origin %s: %p', async (origin, admitted) => {
    const edge = await edgeOf({ cors: { origins: patterns } })

    const { headers } = await edge.ask('/v1/models', { headers: { origin } })

    expect(headers.has('access-control-allow-origin')).toBe(admitted)
  })

  test.each([
    ['app://obsidian.md', true],
    ['app://other.md', false],
    ['moz-extension://5b5c9dd6-6ea8-4b2d-9f1f-3d4c2b1a0f9e', true],
    ['file://', true],
    ['vscode-webview://1nc0hl', false],
    ['http://moz-extension', false],
    ['moz-extension://a/b', false],
  ])('admit the application %s: %p', async (origin, admitted) => {
    const edge = await edgeOf({ cors: { origins: ['app://obsidian.md', 'moz-extension://*', 'file://*'] } })

    const { status } = await edge.chat({ headers: { origin } })

    expect(status).toBe(admitted ? 200 : 403)
  })

  test('admit every page with a star', async () => {
    const edge = await edgeOf({ cors: { origins: ['*'] } })

    const { status, headers } = await edge.chat({ headers: { origin: FOREIGN } })

    expect(status).toBe(200)
    expect(headers.get('access-control-allow-origin')).toBe(FOREIGN)
  })
})
