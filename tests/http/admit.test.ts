import { describe, expect, test } from 'bun:test'
import { configFrom, createGateway } from '#src/index.ts'
import { edgeOf, errorOf } from './edge.ts'

const PUBLIC = { service: { host: '0.0.0.0' } }

describe('the Host header', () => {
  test.each([
    'localhost',
    'localhost:8000',
    'LOCALHOST:8000',
    '127.0.0.1:8000',
    '127.0.0.53',
    '[::1]:8000',
    'gateway.localhost:8000',
  ])('%s is this machine, on a loopback address', async host => {
    const edge = await edgeOf()

    expect((await edge.ask('/v1/models', { headers: { host } })).status).toBe(200)
  })

  test.each([
    'evil.example',
    'evil.example:8000',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil-localhost',
    '192.168.1.10:8000',
    '[::2]:8000',
    'host.docker.internal:8000',
  ])('%s is somebody else, on a loopback address, and told what would let it in', async host => {
    const edge = await edgeOf()

    const response = await edge.ask('/v1/models', { headers: { host } })

    expect(response.status).toBe(400)
    const { code, message } = await errorOf(response)
    expect(code).toBe('invalid_host')
    expect(message).toContain('service.host')
  })

  test.each(['gateway.example:8000', '10.0.0.5', '[2001:db8::1]:80', 'gate_way'])(
    '%s is fine on all addresses',
    async host => {
      const edge = await edgeOf(PUBLIC)

      expect((await edge.ask('/v1/models', { headers: { host } })).status).toBe(200)
    },
  )

  test.each(['', 'a b', 'a,b', 'user@host', 'host/path', 'host:port', 'host:123456', '[::1', 'a\tb'])(
    '%j is refused on any address',
    async host => {
      const edge = await edgeOf(PUBLIC)

      const response = await edge.ask('/v1/models', { headers: { host } })

      expect(response.status).toBe(400)
      expect((await errorOf(response)).code).toBe('invalid_host')
    },
  )

  test('is judged by where the gateway listens, also after a reload that names another address', async () => {
    const edge = await edgeOf()

    edge.gateway.reload(configFrom({ gateway: { demo: true, discover: false }, ...PUBLIC }))

    expect((await edge.ask('/v1/models', { headers: { host: 'evil.example' } })).status).toBe(400)
  })

  test('is that of the URL for a request that never was on a socket', async () => {
    const gateway = createGateway(configFrom({ gateway: { demo: true } }))

    const own = await gateway.fetch(new Request('http://localhost/v1/models'))
    const other = await gateway.fetch(new Request('http://evil.example/v1/models'))

    expect([own.status, other.status]).toEqual([200, 400])
    await gateway.close()
  })
})

describe('a page that writes', () => {
  test('is admitted where this gateway has served it', async () => {
    const edge = await edgeOf(PUBLIC)

    const plain = await edge.chat({ headers: { host: 'gate.example:8000', origin: 'http://gate.example:8000' } })
    const behindTls = await edge.chat({ headers: { host: 'gate.example', origin: 'https://gate.example' } })

    expect([plain.status, behindTls.status]).toEqual([200, 200])
  })

  test.each([
    'https://evil.example',
    'null',
    'http://localhost.evil.example',
    'http://localhost:8000.evil.example',
    'http://evil.example/http://localhost:8000',
    'http://127.0.0.1.evil.example',
    'file://',
    'chrome-extension://abc',
    '',
  ])('with the origin %j is refused', async origin => {
    const edge = await edgeOf()

    const response = await edge.chat({ headers: { origin } })

    expect(response.status).toBe(403)
    expect((await errorOf(response)).code).toBe('origin_not_allowed')
  })

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])(
    'from elsewhere is refused before anything else with %s',
    async method => {
      const edge = await edgeOf({ auth: { mode: 'required', admin_keys: ['sk-admin-key'] } })

      for (const path of ['/v1/chat/completions', '/nowhere', '/v1/models']) {
        const headers = { origin: 'https://evil.example', 'content-length': '999999999' }
        const response = await edge.ask(path, { method, headers, body: 'not json' })

        expect(response.status).toBe(403)
        expect(response.headers.has('access-control-allow-origin')).toBe(false)
      }
    },
  )

  test('from elsewhere spends nothing', async () => {
    const edge = await edgeOf({ limits: { per_client: { requests_per_minute: 2 } } })
    await edge.chat({ headers: { origin: 'https://evil.example' } })

    const { headers } = await edge.chat()

    expect(headers.get('x-ratelimit-remaining-requests')).toBe('1')
  })
})

test.each(['GET', 'HEAD'])('a page from elsewhere may %s', async method => {
  const edge = await edgeOf()

  expect((await edge.ask('/v1/models', { method, headers: { origin: 'https://evil.example' } })).status).toBe(200)
})

test.each(['TRACE', 'CONNECT', 'PROPFIND', 'MKCOL'])('the method %s is not allowed anywhere', async method => {
  const edge = await edgeOf()
  // A Request cannot be built with these, yet a socket brings them.
  const request = new Request('http://localhost:8000/v1/models')
  Object.defineProperty(request, 'method', { value: method })

  const response = await edge.gateway.fetch(request)

  expect(response.status).toBe(405)
  expect(response.headers.get('allow')).toContain('GET')
})

test('an answer says that browsers must not guess its type', async () => {
  const edge = await edgeOf()

  for (const path of ['/v1/models', '/nowhere', '/docs', '/metrics'])
    expect((await edge.ask(path)).headers.get('x-content-type-options')).toBe('nosniff')
})

describe('a list of clients', () => {
  const service = { allow_clients: ['203.0.113.0/24', '2001:db8::/32'], trusted_proxies: ['10.0.0.1'] }

  test.each([
    ['203.0.113.9', 200],
    ['::ffff:203.0.113.9', 200],
    ['2001:db8::7', 200],
    ['203.0.114.9', 403],
    ['2001:db9::7', 403],
    ['', 403],
  ])('answers a client at %p with the status %p', async (from, status) => {
    const edge = await edgeOf({ service })

    expect((await edge.chat({ from })).status).toBe(status)
  })

  test('looks through trusted proxies, and at nobody else’s word', async () => {
    const edge = await edgeOf({ service })
    const from = (peer: string, client: string) => ({ from: peer, headers: { 'x-forwarded-for': client } })

    expect((await edge.chat(from('10.0.0.1', '203.0.113.9'))).status).toBe(200)
    expect((await edge.chat(from('10.0.0.1', '198.51.100.1'))).status).toBe(403)
    expect((await edge.chat(from('198.51.100.1', '203.0.113.9'))).status).toBe(403)
  })

  test('holds for every path, and says why', async () => {
    const edge = await edgeOf({ service })
    const stranger = { from: '198.51.100.1' }

    for (const path of ['/health', '/docs', '/nothing']) expect((await edge.ask(path, stranger)).status).toBe(403)
    expect(await errorOf(await edge.ask('/health', stranger))).toMatchObject({ code: 'client_not_allowed' })
  })
})
