import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import {
  callBody,
  configOf,
  type ModelServer,
  SERVER_KEY,
  startGateway,
  startModelServer,
  type TestGateway,
} from '#tests/support/gateway.ts'
import { chatCompletion, openAiScript } from '#tests/support/openai-upstream.ts'
import { json } from '#tests/support/upstream.ts'

const KEY = 'sk-of-the-caller-0123'
let server: ModelServer
let gateway: TestGateway

beforeAll(async () => {
  server = await startModelServer(openAiScript())
  const auth = { mode: 'optional', keys: [{ name: 'app', key: KEY }] }
  gateway = await startGateway(configOf([server], { auth }))
})
afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await server.close()
})
// Whatever came in, the gateway goes on answering, and no object has got a property that is not its own.
afterEach(async () => {
  expect((await gateway.chat()).status).toBe(200)
  expect(Object.keys({})).toEqual([])
})

async function refusalOf(response: Response): Promise<readonly [number, string, string | null]> {
  const { error } = (await response.json()) as {
    readonly error: { readonly code: string; readonly param: string | null }
  }
  return [response.status, error.code, error.param]
}

describe('headers', () => {
  test('of a client go upstream in no case, but for its trace', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const before = server.calls.length
    await gateway.chat(
      {},
      {
        headers: {
          authorization: `Bearer ${KEY}`,
          cookie: 'session=1',
          'proxy-authorization': 'Basic eDp5',
          'x-forwarded-for': '127.0.0.1',
          'x-forwarded-host': 'evil.test',
          forwarded: 'for=127.0.0.1',
          'x-real-ip': '127.0.0.1',
          'x-citadel-priority': 'low',
          'x-citadel-signature': 'v1=0',
          'x-api-base': 'http://evil.test',
          'openai-organization': 'org',
          'x-http-method-override': 'DELETE',
          te: 'trailers',
          traceparent,
        },
      },
    )

    const { headers } = await server.called(before + 1)

    const sent = 'accept accept-encoding authorization content-length content-type host traceparent user-agent'
    expect(Object.keys(headers).toSorted()).toEqual(sent.split(' '))
    expect(headers['user-agent']).toBe('citadel-gateway')
    expect(headers.authorization).toBe(`Bearer ${SERVER_KEY}`)
    expect(headers.host).toBe(new URL(server.url).host)
    expect(headers.traceparent?.slice(0, 35)).toBe(traceparent.slice(0, 35))
  })

  test('of a server reach no client', async () => {
    await using hostile = await startModelServer(
      json(200, chatCompletion('test-model'), {
        'set-cookie': 'session=1',
        location: 'http://evil.test',
        'access-control-allow-origin': '*',
        'x-request-id': 'its-own',
        'x-citadel-server': 'another',
        'strict-transport-security': 'max-age=1',
        'www-authenticate': 'Basic',
        'x-secret': 'canary',
        server: 'vllm/1.2.3',
      }),
    )
    await using own = await startGateway(configOf([hostile]))

    const { headers } = await own.chat()

    expect(headers.get('x-citadel-server')).toBe('a')
    expect(headers.get('x-request-id')).not.toBe('its-own')
    const known = ['content-type', 'content-length', 'date', 'x-content-type-options', 'x-request-id']
    const other = [...headers.keys()].filter(name => !known.includes(name) && !name.startsWith('x-citadel-'))
    expect(other).toEqual([])
  })
})

describe('fields that some gateways obey', () => {
  test.each([
    ['api_base', 'http://evil.test'],
    ['base_url', 'http://evil.test'],
    ['api_key', 'sk-evil'],
    ['extra_headers', { authorization: 'Bearer sk-evil' }],
    ['custom_llm_provider', 'openai'],
  ])('%s changes neither where a call goes nor with which key', async (field, value) => {
    const before = server.calls.length

    expect((await gateway.chat({ [field]: value })).status).toBe(200)
    expect((await server.called(before + 1)).headers.authorization).toBe(`Bearer ${SERVER_KEY}`)
  })
})

describe('counts and lengths', () => {
  const message = { role: 'user', content: 'Hi' }
  const part = { type: 'text', text: 'Hi' }

  test.each<[string, object, number]>([
    ['10,000 messages', { messages: Array.from({ length: 10_000 }, () => message) }, 200],
    ['one more', { messages: Array.from({ length: 10_001 }, () => message) }, 400],
    ['10,000 parts', { messages: [{ role: 'user', content: Array.from({ length: 9_999 }, () => part) }] }, 200],
    ['one part more', { messages: [{ role: 'user', content: Array.from({ length: 10_000 }, () => part) }] }, 400],
    ['10,001 tools', { tools: Array.from({ length: 10_001 }, () => ({})) }, 400],
    ['16 pairs of metadata', { metadata: Object.fromEntries(Array.from({ length: 16 }, (_, n) => [n, 'x'])) }, 200],
    ['17 pairs of metadata', { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [n, 'x'])) }, 400],
    ['metadata that is a list', { metadata: ['x'] }, 400],
    ['a very long name of a model', { model: 'm'.repeat(257) }, 400],
    ['100 fallbacks', { fallbacks: Array.from({ length: 100 }, () => 'nobody') }, 200],
    ['one fallback more', { fallbacks: Array.from({ length: 101 }, () => 'nobody') }, 400],
    ['129 answers', { n: 129 }, 400],
    ['an answer and a half', { n: 1.5 }, 400],
    ['vectors in a form that nobody knows', { encoding_format: 'hex' }, 400],
    ['a cache that is neither on nor off', { cache: 'no' }, 400],
    ['a very long name of a fallback', { fallbacks: ['m'.repeat(257)] }, 400],
  ])('%s', async (_, body, status) => {
    expect((await gateway.chat(body)).status).toBe(status)
  })

  test.each<[string, unknown, number]>([
    ['30,001 tokens', Array.from({ length: 30_001 }, () => 5), 404],
    ['30,001 texts, more than are read of an answer', Array.from({ length: 30_001 }, () => 'x'), 400],
  ])('embeddings of %s', async (_, input, status) => {
    const body = JSON.stringify({ model: 'nobody', input })

    expect((await fetch(`${gateway.url}/v1/embeddings`, { method: 'POST', body })).status).toBe(status)
  })
})

describe('names of an object’s own properties', () => {
  const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']

  test.each(NAMES)('%s is a name like any other', async name => {
    const post = (headers: Record<string, string>) =>
      gateway.chat({}, { headers: { authorization: `Bearer ${KEY}`, ...headers } }).then(refusalOf)

    expect(await gateway.chat({ model: name }).then(refusalOf)).toEqual([404, 'model_not_found', 'model'])
    expect(await gateway.chat({ fallbacks: [name] }).then(({ status }) => status)).toBeOneOf([200, 404])
    expect((await fetch(`${gateway.url}/v1/models/${name}`)).status).toBe(404)
    expect((await fetch(`${gateway.url}/docs/${name}`)).status).toBe(404)
    expect((await fetch(`${gateway.url}/v1/requests/${name}`)).status).toBe(404)
    expect(await post({ 'content-encoding': name })).toEqual([415, 'unsupported_media_type', null])
    expect(await post({ 'x-citadel-priority': name })).toEqual([400, 'invalid_request', 'x-citadel-priority'])
    expect((await post({ 'x-citadel-server': name }))[0]).toBe(400)
    expect((await gateway.chat({}, { headers: { authorization: `Bearer ${name}` } })).status).toBe(401)
  })

  test('in a body change nothing but that body', async () => {
    const tricks = '"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}'
    const body = JSON.stringify(callBody()).replace('{', `{${tricks},"metadata":{${tricks.replaceAll('true', '1')}},`)

    expect((await gateway.chat({}, { body })).status).toBe(200)
    expect('polluted' in {}).toBe(false)
  })
})

describe('headers of ours from strangers', () => {
  test.each([
    ['x-citadel-timeout-ms', '100000000'],
    ['x-citadel-first-token-ms', '100000000'],
    ['x-citadel-idle-ms', '100000000'],
    ['x-citadel-max-attempts', '1000'],
    ['x-citadel-priority', 'critical'],
    ['x-citadel-server', 'a'],
  ])('%s may be sent, and gives nothing beyond the configuration', async (name, value) => {
    expect((await gateway.chat({}, { headers: { [name]: value } })).status).toBe(200)
  })

  test('x-citadel-strategy needs a key where there are keys', async () => {
    const strategy = { 'x-citadel-strategy': 'random' }

    expect(await gateway.chat({}, { headers: strategy }).then(refusalOf)).toEqual([
      403,
      'permission_denied',
      'x-citadel-strategy',
    ])
    expect((await gateway.chat({}, { headers: { ...strategy, authorization: `Bearer ${KEY}` } })).status).toBe(200)
    await using open = await startGateway(configOf([server]))
    expect((await open.chat({}, { headers: strategy })).status).toBe(200)
  })

  test('x-citadel-max-attempts cannot ask for more attempts than are configured', async () => {
    await using failing = await startModelServer(
      json(500, { error: { message: 'no', type: 'x', code: null, param: null } }),
    )
    await using own = await startGateway(configOf([failing], { retry: { max_attempts: 2, backoff_base: '1ms' } }))

    expect((await own.chat({}, { headers: { 'x-citadel-max-attempts': '50' } })).status).toBe(503)
    expect(failing.calls.length).toBeLessThanOrEqual(2)
  })
})

test('an answer that cannot be read is not shown to the log, a page of a proxy is', async () => {
  const said = ['{"choices":[{"message":{"content":"Your diagnosis is', '<html><title>Sign in</title></html>']
  for (const [index, text] of said.entries()) {
    await using odd = await startModelServer(json(200, text))
    await using own = await startGateway(configOf([odd]))

    const { status } = await own.chat()
    await own.logged({ message: 'request', status })

    const told = JSON.stringify(own.lines)
    expect([told.includes('diagnosis'), told.includes('Sign in')]).toEqual([false, index === 1])
  }
})

test('control characters of a request stay within its one line of the log', async () => {
  const sly = 'x\r\n{"level":"fatal"}\u001b[31m\u2028'
  const id = 'a-caller-request'
  await gateway.chat({ model: sly, user: sly }, { headers: { 'x-request-id': id } })
  await fetch(`${gateway.url}/nowhere/${encodeURIComponent(sly)}`, { headers: { 'x-request-id': `${id}-2` } })

  // The reader of the tests parses each line, and fails on one that is no JSON.
  await gateway.logged({ caller_request_id: id })
  await gateway.logged({ caller_request_id: `${id}-2` })
  expect(gateway.lines.filter(({ level }) => level === 'fatal')).toEqual([])
})
