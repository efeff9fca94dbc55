import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { fakeClock } from '#tests/support/clock.ts'
import { connectionFrom } from '#tests/support/connection.ts'
import {
  callBody,
  configOf,
  type ModelServer,
  startGateway,
  startModelServer,
  type TestGateway,
} from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { rawClient, rawRequest } from '#tests/support/raw-client.ts'

const CHAT = '/v1/chat/completions'
const BODY_MAX = 100_000
const GOOD = JSON.stringify(callBody())

let server: ModelServer
let gateway: TestGateway

beforeAll(async () => {
  server = await startModelServer(openAiScript())
  const models = Object.fromEntries(
    ['chat', 'chat-large', 'mixtral-8x7b'].map(name => [name, { targets: [{ server: 'a', model: name }] }]),
  )
  gateway = await startGateway(configOf([server], { models, service: { max_body: BODY_MAX } }))
})
afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await server.close()
})
// Whatever came in, the gateway goes on answering.
afterEach(async () => {
  expect((await gateway.chat()).status).toBe(200)
})

describe('a body that is no JSON', () => {
  for (const [name, body] of [
    ['nothing', ''],
    ['blanks', ' \n'],
    ['half an object', '{"model":"chat","messages":[{"role":"us'],
    ['a word', 'hello'],
    ['two values', `${GOOD}${GOOD}`],
    ['single quotes', "{'model':'chat'}"],
    ['a comma too many', '{"model":"chat",}'],
    ['NaN', '{"temperature":NaN}'],
    ['a line feed in a string', '{"model":"ch\nat"}'],
  ] as const) {
    test(`${name} is told as invalid_json`, async () => {
      const before = server.calls.length

      const { status, error } = await post(body)

      expect([status, error.code, error.type]).toEqual([400, 'invalid_json', 'invalid_request_error'])
      expect(server.calls).toHaveLength(before)
    })
  }

  for (const body of ['[]', 'null', '1', '"text"', 'true']) {
    test(`${body} is no object`, async () => {
      const { status, error } = await post(body)

      expect([status, error.code]).toEqual([400, 'invalid_request'])
    })
  }
})

test('bytes that are no UTF-8 never fail the gateway', async () => {
  const { status } = await post(
    Buffer.concat([
      Buffer.from('{"model":"chat","messages":[{"role":"user","content":"'),
      Buffer.from([0xff, 0xfe, 0xc0]),
      Buffer.from('"}]}'),
    ]),
  )

  expect([200, 400]).toContain(status)
})

describe('nesting', () => {
  for (const [name, open, close] of [
    ['arrays', '[', ']'],
    ['objects', '{"a":', '}'],
  ] as const) {
    test(`of ${name} that goes too deep is refused`, async () => {
      const deep = open.repeat(100) + (open === '[' ? '' : '1') + close.repeat(100)

      const { status, error } = await post(`{"model":"chat","messages":[{"role":"user","content":"Hi"}],"x":${deep}}`)

      expect([status, error.code]).toEqual([400, 'invalid_request'])
    })
  }

  test('of ten megabytes is refused quickly', async () => {
    await using large = await startGateway(configOf([server]))
    const startedAt = performance.now()

    const response = await fetch(large.url + CHAT, { method: 'POST', body: '['.repeat(9_900_000) })

    expect(response.status).toBe(400)
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })
})

test('a body of countless members is refused quickly, wherever they stand', async () => {
  await using large = await startGateway(configOf([server]))
  const names = Array.from({ length: 600_000 }, (_, index) => `"k${index}":1`)
  const empty = Array.from({ length: 3_000_000 }, () => '{}')
  const objects = `{"x":[${names.map(name => `{${name}}`)}]}`
  for (const body of [`{${names}}`, `{"model":"chat","x":{${names}}}`, objects, `{"x":[${empty}]}`]) {
    const before = process.cpuUsage()

    const response = await fetch(large.url + CHAT, { method: 'POST', body })

    expect(response.status).toBe(400)
    expect((await response.json()).error.message).toBe(
      'The request body has more than 100000 members, objects or lists.',
    )
    expect(process.cpuUsage(before).user).toBeLessThan(1_000_000)
  }
})

test('every wrong field is named at once', async () => {
  const body = {
    model: 1,
    messages: 'Hi',
    stream: 'yes',
    n: 0,
    temperature: 'hot',
    max_tokens: 1.5,
    tools: {},
    fallbacks: [1],
  }

  const { status, error } = await post(JSON.stringify(body))

  expect([status, error.code, error.param]).toEqual([400, 'invalid_request', 'messages'])
  expect(error.details?.map(detail => detail.path).sort()).toEqual(Object.keys(body).sort())
})

for (const [path, field] of [
  [CHAT, 'messages'],
  ['/v1/completions', 'prompt'],
  ['/v1/embeddings', 'input'],
] as const) {
  test(`${path} asks for ${field}`, async () => {
    const { status, error } = await post('{"model":"chat"}', {}, path)

    expect([status, error.param]).toEqual([400, field])
    expect(error.details).toEqual([{ path: field, message: 'is required' }])
  })
}

test('an unknown model is told with the closest names', async () => {
  const { status, error } = await post(JSON.stringify(callBody({ model: 'mixtral-8x7' })))

  expect([status, error.code, error.param]).toEqual([404, 'model_not_found', 'model'])
  expect(error.message).toContain('"mixtral-8x7b"')
})

describe('a body over the limit', () => {
  const big = JSON.stringify(callBody({ user: 'x'.repeat(BODY_MAX) }))
  const bodies = {
    'that says its length': () => post(big),
    'in chunks': () => post(inChunks(big)),
    'packed with gzip': () => post(gzipSync(big), { 'content-encoding': 'gzip' }),
    'packed with gzip, in chunks': () => post(inChunks(gzipSync(big)), { 'content-encoding': 'gzip' }),
    'packed with deflate': () => post(deflateSync(big), { 'content-encoding': 'deflate' }),
    'that unpacks to nothing, in chunks': () => post(inChunks(nothingIn(BODY_MAX)), { 'content-encoding': 'gzip' }),
    'that unpacks to 200 MB': () => post(gzipSync(Buffer.alloc(200_000_000, ' ')), { 'content-encoding': 'gzip' }),
  }
  for (const [name, send] of Object.entries(bodies)) {
    test(`${name} is refused in the same words`, async () => {
      const { status, error } = await send()

      expect(status).toBe(413)
      expect(error).toEqual({
        message: `The request body is larger than ${BODY_MAX} bytes.`,
        type: 'invalid_request_error',
        param: null,
        code: 'request_too_large',
      })
    })
  }

  test('in more pieces than anybody sends is refused', async () => {
    await using roomy = await startGateway(configOf([server]))
    const line = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n`
    const client = rawClient(roomy.port, `${line}${'1\r\n \r\n'.repeat(500_000)}0\r\n\r\n`)

    const text = await client.until(given => given.endsWith('}}'))

    expect(text).toStartWith('HTTP/1.1 400 ')
    expect(text).toContain('in more than 100000 pieces')
    expect(['end', 'close', 'ECONNRESET', 'EPIPE']).toContain(await client.ended)
  })

  test('is refused before it is sent', async () => {
    const client = rawClient(
      gateway.port,
      `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n`,
    )

    expect(await client.until(text => text.includes('request_too_large'))).toStartWith('HTTP/1.1 413 ')
  })

  for (const [framing, whole] of [
    ['that says its length', `content-length: ${big.length}\r\n\r\n${big}`],
    ['in chunks', `transfer-encoding: chunked\r\n\r\n${big.length.toString(16)}\r\n${big}\r\n0\r\n\r\n`],
  ] as const) {
    test(`${framing} may be sent to its end after the refusal, and its connection is used again`, async () => {
      const request = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\n${whole}`
      const client = rawClient(gateway.port, request.slice(0, -5))
      await client.until(text => text.includes('request_too_large'))

      client.socket.write(request.slice(-5) + rawRequest('/livez', '', 'GET').replace('test', 'localhost'))

      expect(await Promise.race([client.ended, client.until(text => text.includes('{"status":"ok"}'))])).toContain(
        '200',
      )
    })
  }
})

for (const [encoding, body] of [
  ['gzip', gzipSync(GOOD)],
  ['GZIP', gzipSync(GOOD)],
  ['x-gzip', gzipSync(GOOD)],
  ['deflate', deflateSync(GOOD)],
  ['br', brotliCompressSync(GOOD)],
  ['identity', Buffer.from(GOOD)],
] as const) {
  test(`a body packed with ${encoding} is unpacked`, async () => {
    const { status } = await post(body, { 'content-encoding': encoding })

    expect(status).toBe(200)
    expect(server.calls.at(-1)?.json()).toMatchObject({ messages: [{ content: 'Hi' }] })
  })
}

for (const [encoding, body, status, code] of [
  ['zstd', GOOD, 415, 'unsupported_media_type'],
  ['gzip, gzip', gzipSync(GOOD), 415, 'unsupported_media_type'],
  ['gzip', GOOD, 400, 'invalid_request'],
  ['gzip', gzipSync(GOOD).subarray(0, 30), 400, 'invalid_request'],
] as const) {
  test(`a body with content-encoding ${encoding} of ${body.length} bytes that cannot be read is ${code}`, async () => {
    const answer = await post(body, { 'content-encoding': encoding })

    expect([answer.status, answer.error.code]).toEqual([status, code])
  })
}

describe('the Host', () => {
  for (const [name, lines] of [
    ['is missing in HTTP/1.1', 'GET /health HTTP/1.1\r\n'],
    ['comes twice', 'GET /health HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n'],
    ['holds a path', 'GET /health HTTP/1.1\r\nhost: localhost/x\r\n'],
    ['is empty', 'GET /health HTTP/1.1\r\nhost: \r\n'],
    ['holds a user', 'GET /health HTTP/1.1\r\nhost: a@localhost\r\n'],
    ['names another machine', 'GET /health HTTP/1.1\r\nhost: evil.example\r\n'],
    ['is missing in HTTP/1.0', 'GET /health HTTP/1.0\r\n'],
  ] as const) {
    test(`that ${name} is refused`, async () => {
      const client = rawClient(gateway.port, `${lines}\r\n`)

      expect(await client.until(text => text.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.[01] 400 /)
    })
  }

  for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:80', '[::1]:9', 'app.localhost']) {
    test(`${host} names this machine`, async () => {
      const client = rawClient(gateway.port, `GET /livez HTTP/1.1\r\nhost: ${host}\r\n\r\n`)

      expect(await client.until(text => text.includes('\r\n\r\n'))).toStartWith('HTTP/1.1 200 ')
    })
  }
})

describe('paths and methods', () => {
  for (const [method, path, status, code] of [
    ['GET', '/nothing', 404, 'not_found'],
    ['POST', '/v1/chat/completion', 404, 'not_found'],
    ['POST', '/v1/v1/chat/completions', 404, 'not_found'],
    ['GET', '/%00', 404, 'not_found'],
    ['GET', '/%E0%A4%A', 404, 'not_found'],
    ['GET', '//v1//models', 404, 'not_found'],
    ['GET', `/${'x'.repeat(5000)}`, 404, 'not_found'],
    ['GET', CHAT, 405, 'method_not_allowed'],
    ['PUT', '/v1/models', 405, 'method_not_allowed'],
    ['DELETE', '/health', 405, 'method_not_allowed'],
    ['TRACE', '/health', 405, 'method_not_allowed'],
    ['PROPFIND', '/health', 405, 'method_not_allowed'],
  ] as const) {
    test(`${method} ${path.slice(0, 40)} is ${status}`, async () => {
      const client = rawClient(
        gateway.port,
        `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n`,
      )

      const text = await client.until(text => text.includes('\r\n\r\n') && text.includes('"code"'))

      expect(text).toStartWith(`HTTP/1.1 ${status} `)
      expect(text).toContain(`"code":"${code}"`)
      expect(/\r\nallow: /i.test(text)).toBe(status === 405)
      expect(/\r\nx-request-id: /i.test(text)).toBe(true)
    })
  }

  test('a base URL with /v1 twice is explained', async () => {
    const { error } = await post(GOOD, {}, '/v1/v1/chat/completions')

    expect(error.message).toContain('/v1 once')
  })

  for (const path of ['/chat/completions', '/v1/chat/completions/', '/chat/completions/', '/v1/chat/completions?x=1']) {
    test(`${path} is served too`, async () => {
      expect((await post(GOOD, {}, path)).status).toBe(200)
    })
  }

  test('HEAD answers like GET without a body', async () => {
    const response = await fetch(`${gateway.url}/health`, { method: 'HEAD' })

    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  for (const path of ['/livez', '/v1/models', '/docs', '/nowhere', '/v1/models/unknown']) {
    for (const encoding of ['identity', 'gzip']) {
      test(`HEAD ${path} (${encoding}) tells the length that GET has`, async () => {
        const lengths = await Promise.all(
          ['GET', 'HEAD'].map(async method => {
            const { status, headers } = await fetch(gateway.url + path, {
              method,
              headers: { 'accept-encoding': encoding },
              decompress: false,
            })
            return [status, headers.get('content-encoding'), headers.get('content-length')]
          }),
        )

        expect(lengths[1]).toEqual(lengths[0] ?? [])
        expect(Number(lengths[1]?.[2])).toBeGreaterThan(0)
      })
    }
  }

  test('HEAD of a stream that never ends holds nothing', async () => {
    const response = await fetch(`${gateway.url}/orchestration/events`, { method: 'HEAD' })

    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
    expect(/^http_requests_in_flight (.*)$/m.exec(metrics)?.[1]).toBe('1')
  })
})

test.each([['a text'], [null], [{ content: 'Hi' }], [{ role: 1, content: 'Hi' }]])(
  'a message that is %p is told to need a role',
  async message => {
    const { status, error } = await post(JSON.stringify(callBody({ messages: [message] })))

    expect([status, error.param]).toEqual([400, 'messages'])
    expect(error.message).toContain('objects with a role')
  },
)

test.each([
  ['of a kind that nobody has set up', 'another', ''],
  ['without a signature', 'server_status', ''],
  ['with a wrong password', 'alertmanager', 'authorization: Bearer wrong\r\n'],
])('a webhook %s is refused before its body is read', async (_, kind, header) => {
  const secrets = { server_status: 'canary-of-the-monitor', alertmanager: 'canary-of-alertmanager' }
  await using receiving = await startGateway(configOf([server], { webhooks: { secrets } }))
  const line = `POST /webhooks/${kind} HTTP/1.1\r\nhost: localhost\r\n${header}content-length: 50000\r\n\r\n`
  const client = rawClient(receiving.port, line)

  expect(await client.until(text => text.includes('invalid_signature'))).toStartWith('HTTP/1.1 401 ')
  client.socket.destroy()
})

describe('odd requests', () => {
  test('headers without measure are refused', async () => {
    const client = rawClient(
      gateway.port,
      `GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(100_000)}\r\n\r\n`,
    )

    expect(await client.until(text => text.includes('\r\n'))).toStartWith('HTTP/1.1 431')
  })

  test('two lengths are refused', async () => {
    const lines = 'content-length: 5\r\ntransfer-encoding: chunked\r\n'
    const client = rawClient(gateway.port, `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\n${lines}\r\n0\r\n\r\n`)

    expect(await client.until(text => text.includes('\r\n'))).toStartWith('HTTP/1.1 400')
  })

  test('requests one behind the other on one connection are answered in order', async () => {
    const one = rawRequest('/v1/v1/x', '', 'GET').replace('host: test', 'host: localhost')
    const two = rawRequest('/livez', '', 'GET').replace('host: test', 'host: localhost')
    const client = rawClient(gateway.port, one + two)

    const text = await client.until(text => text.split('HTTP/1.1 ').length === 3 && text.endsWith('}'))

    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(match => match[1])).toEqual(['404', '200'])
  })

  test.each([
    ['x-citadel-timeout-ms', 'soon'],
    ['x-citadel-first-token-ms', '0'],
    ['x-citadel-idle-ms', '1.5'],
  ])('a header of ours that makes no sense is named: %s: %s', async (name, value) => {
    const { status, error } = await post(GOOD, { [name]: value })

    expect([status, error.param]).toEqual([400, name])
  })
})

describe('what was checked is what runs', () => {
  test('of a model that is named twice, the one that was checked', async () => {
    const keys = [{ name: 'web', key: 'sk-web-0123456789abcdef', models: ['chat'] }]
    const models = {
      chat: { targets: [{ server: 'a', model: 'small' }] },
      dear: { targets: [{ server: 'a', model: 'big' }] },
    }
    await using guarded = await startGateway(configOf([server], { models, auth: { mode: 'required', keys } }))
    const headers = { authorization: 'Bearer sk-web-0123456789abcdef' }
    const messages = '"messages":[{"role":"user","content":"Hi"}]'
    const send = (body: string) => fetch(guarded.url + CHAT, { method: 'POST', headers, body })

    const last = await send(`{"model":"dear","model":"chat",${messages}}`)
    const seen = server.calls.at(-1)?.body ?? ''
    const first = await send(`{"model":"chat","model":"dear",${messages}}`)
    const escaped = await send(`{"model":"chat","mod\\u0065l":"dear",${messages}}`)

    expect([last.status, first.status, escaped.status]).toEqual([200, 403, 403])
    expect(seen.match(/"model"/g)).toHaveLength(1)
    expect(JSON.parse(seen).model).toBe('small')
  })

  test('a __proto__ is only a name', async () => {
    const { status } = await post(`{"__proto__":{"stream":true,"model":"chat-large"},${GOOD.slice(1)}`)

    expect(status).toBe(200)
    expect(JSON.parse(server.calls.at(-1)?.body ?? '')).toMatchObject({ model: 'chat' })
    expect(Object.keys({})).toEqual([])
  })
})

test.each([
  ['5s', [0, 5]],
  ['65s', []],
])('a connection that may be idle for %s is kept while a body comes', async (keep_alive, expected) => {
  await using quick = await startGateway(configOf([server], { service: { keep_alive } }))
  const told: number[] = []
  const connection = { ...connectionFrom('127.0.0.1'), idle: (seconds: number) => void told.push(seconds) }

  const request = new Request(`http://localhost${CHAT}`, { method: 'POST', body: GOOD })
  const { status } = await quick.gateway.fetch(request, connection)

  expect([status, told]).toEqual([200, expected])
})

test('a body that does not come in time is told so, and its connection ends', async () => {
  const clock = fakeClock()
  await using slow = await startGateway(configOf([server]), { clock })
  const client = rawClient(slow.port, `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{`)
  while (!(await (await fetch(`${slow.url}/metrics`)).text()).includes('http_requests_in_flight 2'));

  clock.advance(31_000)
  const text = await client.until(text => text.includes('"code"'))

  expect(text).toStartWith('HTTP/1.1 408 ')
  expect(text).toContain('"code":"request_timeout"')
  expect(/\r\nconnection: close/i.test(text)).toBe(true)
})

interface ErrorFields {
  readonly message: string
  readonly type: string
  readonly param: string | null
  readonly code: string
  readonly details?: readonly { readonly path: string; readonly message: string }[]
}

async function post(body: BodyInit, headers: Record<string, string> = {}, path = CHAT) {
  const response = await fetch(gateway.url + path, { method: 'POST', headers, body })
  const { error } = (await response.json()) as { readonly error: ErrorFields }
  return { status: response.status, error }
}

function inChunks(body: string | Uint8Array): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(body)
  let at = 0
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes.subarray(at, at + 10_000))
      at += 10_000
      if (at >= bytes.length) controller.close()
    },
  })
}

/** At least so many bytes of gzip that hold nothing: empty blocks (RFC 1951 §3.2.4). */
function nothingIn(bytes: number): Buffer {
  const block = Buffer.from([0, 0, 0, 0xff, 0xff])
  const last = Buffer.from([1, 0, 0, 0xff, 0xff])
  const blocks = Array.from({ length: Math.ceil(bytes / block.length) }, () => block)
  return Buffer.concat([gzipSync('').subarray(0, 10), ...blocks, last, Buffer.alloc(8)])
}
