import { describe, expect, test } from 'bun:test'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { ADMINISTERED, AS_ADMIN, edgeOf, errorOf, idFor, SERVER, signed } from './edge.ts'

const table = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)
/** A path of each route as a client writes it, and the methods that it takes. */
const methodsOf = new Map<string, string[]>()
for (const { path, method } of table) {
  const written = path.replace(':id{.+}', 'citadel-demo').replace(':page{.+}', 'clients').replace(':type', 'deploy')
  methodsOf.set(written, [...(methodsOf.get(written) ?? []), method])
}
const paths = [...methodsOf.keys()]
const reads = paths.filter(path => methodsOf.get(path)?.includes('GET'))
const takes = paths.flatMap(path => (methodsOf.get(path) ?? []).map(method => [method, path] as const))
const BODIES: Readonly<Record<string, object>> = {
  '/v1/chat/completions': { model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] },
  '/v1/completions': { model: 'citadel-demo', prompt: 'Hi' },
  '/v1/embeddings': { model: 'citadel-demo', input: 'Hi' },
  '/management/keys': { name: 'made' },
  '/management/route/explain': { request: { messages: [{ role: 'user', content: 'Hi' }] } },
  '/orchestration/workload/distribute': { requests: 3 },
  '/management/keys/:id': { name: 'renamed' },
  '/orchestration/servers/register': SERVER,
  '/webhooks/alertmanager': { version: '4', status: 'firing', alerts: [] },
  '/webhooks/server_status': { server_id: 'demo', status: 'degraded' },
  '/webhooks/deploy': {},
}

/** A gateway, and the path with an id that it knows where it needs one. */
async function edgeFor(pattern: string) {
  const edge = await edgeOf(ADMINISTERED)
  const path = pattern.replace(':id', pattern.includes(':id') ? await idFor(edge, pattern) : '')
  const ask = (method: string, suffix = '') => {
    const writes = method === 'POST' || method === 'PATCH'
    const body = writes ? BODIES[pattern] : undefined
    const headers = pattern.startsWith('/webhooks') ? signed(body ?? '', edge.clock) : AS_ADMIN
    return edge.ask(path + suffix, { method, headers, body })
  }
  return { edge, path, ask }
}

/** The methods of a path, and those of a path with an id in the place of its last word. */
function allowed(pattern: string): string[] {
  const withId = pattern.replace(/\/[^/:]+$/, '/:id')
  const taken = [pattern, withId]
    .flatMap(each => {
      const methods = methodsOf.get(each) ?? []
      return methods.length === 0 ? [] : [...methods, 'OPTIONS']
    })
    .flatMap(method => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  return [...new Set(taken)]
}

describe('each route', () => {
  test.each(takes)(
    '%s %s is taken, also with a slash at the end of the path, without a redirect',
    async (method, pattern) => {
      for (const suffix of pattern === '/' ? [''] : ['', '/']) {
        const { ask } = await edgeFor(pattern)

        expect((await ask(method, suffix)).status).toBe(method === 'POST' && pattern === '/management/keys' ? 201 : 200)
      }
    },
  )

  test.each(paths)('%s names the methods that it takes when it is asked with another one', async pattern => {
    const { ask } = await edgeFor(pattern)
    const taken = allowed(pattern)

    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'].filter(each => !taken.includes(each))) {
      const response = await ask(method)

      expect(response.status, method).toBe(405)
      expect(response.headers.get('allow'), method).toBe(taken.join(', '))
      if (method !== 'HEAD') expect((await errorOf(response)).code).toBe('method_not_allowed')
    }
  })

  test.each(paths)('%s answers OPTIONS of a program with its methods', async pattern => {
    const { ask } = await edgeFor(pattern)

    const response = await ask('OPTIONS')

    expect(response.status).toBe(204)
    expect(response.headers.get('allow')).toBe(allowed(pattern).join(', '))
    expect(await response.text()).toBe('')
  })

  test.each(takes.filter(([, path]) => path.startsWith('/v1/')))(
    '%s %s is served without /v1 too',
    async (method, pattern) => {
      const { edge, path } = await edgeFor(pattern)

      for (const twin of [path.slice(3), `${path.slice(3)}/`])
        expect((await edge.ask(twin, { method, body: BODIES[pattern] })).status).toBe(200)
    },
  )

  test.each(reads)('%s answers HEAD like GET, without a body', async pattern => {
    const { ask } = await edgeFor(pattern)

    const [got, head] = [await ask('GET'), await ask('HEAD')]

    expect(head.status).toBe(200)
    expect(head.headers.get('content-type')).toBe(got.headers.get('content-type'))
    expect(await head.text()).toBe('')
  })
})

describe('a path that is none', () => {
  test.each([
    '/nowhere',
    '/v1',
    '/v1/',
    '/V1/models',
    '/v1/Models',
    '//v1/models',
    '/v1//models',
    '/v1/models;a=b',
    '/v1%2Fmodels',
    '/metrics%00',
    '/v1/chat',
    '/v1/chat/completions/more',
    '/management/nowhere',
    '/docs/nowhere',
    '/docs/..%2f..%2fetc%2fpasswd',
    '/docs/assets/..%2f..%2fpackage.json',
    '/constructor',
    '/__proto__',
  ])('is answered with 404 at %s', async path => {
    const edge = await edgeOf()

    for (const method of ['GET', 'POST']) {
      const response = await edge.ask(path, { method })

      expect([404, 405]).toContain(response.status)
      expect(response.headers.get('content-type')).toBe('application/json')
    }
  })

  test('below /docs shows a browser a page that lists the guides', async () => {
    const edge = await edgeOf()
    const accept = 'text/html,application/xhtml+xml,*/*;q=0.8'

    const response = await edge.ask('/docs/no%3Cb%3Ewhere', { headers: { accept } })
    const html = await response.text()

    expect([response.status, response.headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8'])
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(response.headers.get('vary')).toContain('Accept')
    expect(html).toContain('/docs/no&lt;b&gt;where')
    expect(html).toContain('href="/docs/troubleshooting"')
  })

  test.each([
    ['/v1/v1/chat/completions', '/v1 once'],
    ['/v1/v1', '/v1 once'],
    ['//v1/chat/completions', 'two slashes'],
    ['/v1//chat/completions', 'two slashes'],
    ['/v1/chat/completions/chat/completions', 'the path of an endpoint'],
    ['/v1/chat/completions/models', 'the path of an endpoint'],
    ['/embeddings/embeddings/', 'the path of an endpoint'],
  ])('%s says what is wrong with the base URL: %s', async (path, told) => {
    const edge = await edgeOf()

    const response = await edge.ask(path, { method: 'POST', body: {} })

    expect(response.status).toBe(404)
    expect((await errorOf(response)).message).toContain(told)
  })

  test.each(['/v1/responses', '/v1/messages', '/api/chat', '/v1/moderations'])(
    '%s says where models answer instead',
    async path => {
      const edge = await edgeOf()

      const { message } = await errorOf(await edge.ask(path, { method: 'POST', body: {} }))

      for (const served of ['/v1/chat/completions', '/v1/completions', '/v1/embeddings'])
        expect(String(message)).toContain(served)
    },
  )

  test('is quoted only in part when it is very long', async () => {
    const edge = await edgeOf()

    const { message } = await errorOf(await edge.ask(`/${'a'.repeat(5000)}`))

    expect(String(message).length).toBeLessThan(400)
  })
})

describe('the name of a model in a path', () => {
  const names = ['org/model', 'mixtral:8x7b', 'a/b/c:latest', 'mail@model+1']
  const models = Object.fromEntries(names.map(name => [name, { endpoint: 'http://127.0.0.1:9' }]))

  test.each(names)('may be %s, plain or escaped', async name => {
    const edge = await edgeOf({ models })

    for (const path of [`/v1/models/${name}`, `/v1/models/${encodeURIComponent(name)}`, `/models/${name}/`]) {
      const response = await edge.ask(path)

      expect(response.status, path).toBe(200)
      expect(await response.json()).toMatchObject({ id: name, object: 'model' })
    }
  })

  test('that is none gives the closest ones', async () => {
    const edge = await edgeOf({ models })

    const response = await edge.ask('/v1/models/mixtral:8x7')

    expect(response.status).toBe(404)
    expect(await errorOf(response)).toMatchObject({
      code: 'model_not_found',
      param: 'model',
      message: expect.stringContaining('"mixtral:8x7b"'),
    })
  })

  test.each(['%', '%zz', '%E0%A4%A', 'a%00b', '..%2f..'])('that cannot be read (%s) is not found', async name => {
    const edge = await edgeOf({ models })

    expect((await edge.ask(`/v1/models/${name}`)).status).toBe(404)
  })
})

test('the health page and the metrics are also where the operator wants them', async () => {
  const edge = await edgeOf({ monitoring: { health_check_endpoint: '/status/up', metrics_endpoint: '/internal/prom' } })

  const [health, metrics] = [await edge.ask('/status/up'), await edge.ask('/internal/prom')]

  expect(await health.json()).toMatchObject({ status: 'healthy' })
  expect(await metrics.text()).toContain('gateway_build_info')
  for (const path of ['/health', '/metrics', '/status/up/']) expect((await edge.ask(path)).status).toBe(200)
})

test.each(['/health', '/health/', '/v1/health'])('a health page at %s is where it is anyway', async path => {
  const edge = await edgeOf({ monitoring: { health_check_endpoint: path } })

  expect((await edge.ask('/health')).status).toBe(200)
  expect((await edge.ask('/v1/models')).status).toBe(200)
})
