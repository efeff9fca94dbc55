import { describe, expect, test } from 'bun:test'
import {
  configOf,
  configWithFallback,
  type ModelServer,
  SERVER_KEY,
  startGateway,
  startModelServer,
  type TestGateway,
  type Tree,
} from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { bytes, cut, gate, hang, head, html, json, reset, type Steps, sse } from '#tests/support/upstream.ts'

/** What a server says that should never be heard outside: an address and a key of the inside. */
const STORY = `backend http://10.1.2.3:8000 refused ${SERVER_KEY}`
const WHOLE = JSON.stringify(chatCompletion('test-model'))
const EVENTS = chatEvents('test-model')
const plainHead = (length: number) =>
  head(200, { 'content-type': 'application/json', 'content-length': String(length) })

interface Fault {
  readonly name: string
  readonly script: Steps
  /** Whether the call streams; both when absent. */
  readonly stream?: boolean
  readonly code: string
  readonly status: number
}

const invalid = { code: 'upstream_invalid_response', status: 502 } as const
const failed = { code: 'all_targets_failed', status: 503 } as const
const silent = { code: 'upstream_timeout', status: 504 } as const
const refused = { code: 'upstream_auth_failed', status: 502 } as const
const limited = { code: 'provider_rate_limited', status: 429 } as const

/** Everything that a server can do instead of answering, before the first content: another one can still answer. */
const faults: readonly Fault[] = [
  { name: 'a web page under 200', script: html(200), ...invalid },
  { name: 'a web page under 502', script: html(502), ...failed },
  { name: 'an empty body under 200', script: json(200, ''), stream: false, ...invalid },
  { name: 'an empty stream', script: sse([]), stream: true, ...failed },
  { name: 'nothing but [DONE]', script: sse(['[DONE]']), stream: true, ...invalid },
  { name: 'half a JSON', script: json(200, WHOLE.slice(0, 99)), ...invalid },
  { name: 'a plain answer to a stream', script: json(200, WHOLE), stream: true, ...invalid },
  { name: 'JSON that is no answer', script: json(200, { ok: true }), ...invalid },
  { name: 'a JSON list', script: json(200, '[1,2]'), ...invalid },
  { name: 'an error under 200', script: json(200, { error: { message: STORY, type: 'server_error' } }), ...failed },
  { name: 'a body shorter than it says', script: [plainHead(999), bytes(WHOLE), cut()], stream: false, ...failed },
  { name: 'a reset before the headers', script: reset(), ...failed },
  { name: 'an end before the headers', script: cut(), ...failed },
  { name: 'a reset within the headers', script: [bytes('HTTP/1.1 200 OK\r\ncontent-ty'), reset()], ...failed },
  { name: 'an end within the headers', script: [bytes('HTTP/1.1 200 OK\r\ncontent-ty'), cut()], ...failed },
  { name: 'a reset within the body', script: [plainHead(999), bytes(WHOLE), reset()], stream: false, ...failed },
  { name: 'a reset before the first event', script: sse([reset()]), stream: true, ...failed },
  { name: 'an end after the role', script: sse([EVENTS[0] ?? '', cut()]), stream: true, ...failed },
  { name: 'silence', script: hang(), ...silent },
  { name: 'half an answer, then silence', script: [plainHead(999), bytes('{'), hang()], stream: false, ...silent },
  { name: 'headers, then silence', script: sse([hang()]), stream: true, ...silent },
  { name: 'a role, then silence', script: sse([EVENTS[0] ?? '', hang()]), stream: true, ...silent },
  { name: 'an error as the first event', script: sse([{ error: { message: STORY } }]), stream: true, ...failed },
  { name: 'a named error event', script: sse('event: error\ndata: {"message":"no"}\n\n'), stream: true, ...failed },
  {
    name: 'an error after the role',
    script: sse([EVENTS[0] ?? '', { error: { message: STORY } }]),
    stream: true,
    ...failed,
  },
  { name: 'four unreadable events', script: sse(['{', '{"', 'x', '}', ...EVENTS]), stream: true, ...invalid },
  {
    name: 'only empty chunks',
    script: sse(Array.from({ length: 70 }, () => EVENTS[0] ?? '')),
    stream: true,
    ...invalid,
  },
  { name: 'a line without end', script: sse('x'.repeat(3_000_000)), stream: true, ...invalid },
  { name: 'no HTTP at all', script: [bytes('SSH-2.0-OpenSSH_9.6\r\n\r\n'), cut()], ...invalid },
  {
    name: 'a broken chunk size',
    script: [head(200, { 'transfer-encoding': 'chunked' }), bytes('zz\r\n{}')],
    ...invalid,
  },
  { name: 'an unknown encoding', script: json(200, WHOLE, { 'content-encoding': 'rot13' }), ...invalid },
  { name: 'a body that is not gzip', script: json(200, WHOLE, { 'content-encoding': 'gzip' }), ...invalid },
  { name: 'HTTP 204', script: head(204), stream: false, ...invalid },
  { name: 'HTTP 204', script: head(204), stream: true, ...failed },
  ...[401, 402, 403].map(status => ({ name: `HTTP ${status}`, script: openAiError(status, STORY, null), ...refused })),
  { name: 'HTTP 429', script: openAiError(429, STORY, null, { 'retry-after': '7' }), ...limited },
  ...[408, 500, 501, 502, 503, 504, 529].map(status => ({
    name: `HTTP ${status}`,
    script: openAiError(status, STORY, null),
    ...failed,
  })),
  { name: 'HTTP 404 of an unknown path', script: json(404, { detail: 'Not Found' }), ...invalid },
  { name: 'HTTP 405', script: html(405), ...invalid },
]

/** Failures after which the same server is tried again: before the first content as often as is allowed, but for the one
 * attempt of a stream that is kept back, and once before another model answers. */
const AGAIN: ReadonlySet<string> = new Set(['all_targets_failed', 'upstream_invalid_response'])

const cases = faults.flatMap(fault =>
  (fault.stream === undefined ? [false, true] : [fault.stream]).map(stream => ({
    ...fault,
    stream,
    title: `${fault.name} (${stream ? 'stream' : 'plain'})`,
  })),
)

describe.each(cases)('$title', ({ name, script, stream, code, status }) => {
  test(`is told as ${code} when nobody else can answer`, async () => {
    await using server = await startModelServer(script)
    await using gateway = await startGateway({ ...configOf([server]), ...impatient })

    const { response, text } = await ask(gateway.chat({ stream }), [server])

    expect(response.status).toBe(status)
    const attempts = AGAIN.has(code) ? (stream ? 3 : 4) : 1
    expect(JSON.parse(text).error).toMatchObject({ code, param: null, attempts: Array(attempts).fill({ server: 'a' }) })
    expect(response.headers.get('x-should-retry')).toBe(status === 429 ? null : 'false')
    // A kept connection that dies when it is used again, as one that a probe has left may, is replaced unseen, once.
    const unseen = name.endsWith('before the headers') ? [attempts, attempts + 1] : [attempts]
    expect(unseen).toContain(server.calls.length)
  })

  test('fails over to the next server', async () => {
    await using broken = await startModelServer(script)
    await using sound = await startModelServer(openAiScript())
    await using gateway = await startGateway(impatientAt(configOf([broken, sound])))

    const { response, text } = await ask(gateway.chat({ stream }), [broken, sound])

    expect(answeredBy(response)).toEqual([200, 'chat', 'b', '2'])
    expect(contentOf(text, stream)).toBe('Hello there!')
    expect([broken.calls.length, sound.calls.length]).toEqual([1, 1])
    expect(await inFlightOf(gateway)).toEqual([0, 0])
  })

  test('falls back to the next model', async () => {
    await using broken = await startModelServer(script)
    await using sound = await startModelServer(openAiScript())
    await using gateway = await startGateway(impatientAt(configWithFallback([broken, sound])))

    const { response, text } = await ask(gateway.chat({ stream }), [broken, sound])

    expect(answeredBy(response)).toEqual([200, 'spare', 'b', AGAIN.has(code) ? '3' : '2'])
    expect(contentOf(text, stream)).toBe('Hello there!')
    expect(sound.calls[0]?.json()).toMatchObject({ model: 'spare-model' })
  })
})

/** What is the caller's own to mend: nobody else is asked, and the caller reads the server's words. */
const rejections = [
  {
    name: 'a prompt that is too long',
    status: 400,
    error: { code: 'context_length_exceeded', message: "This model's maximum context length is 8192 tokens." },
    code: 'context_length_exceeded',
    answer: 400,
  },
  {
    name: 'what a filter refuses',
    status: 400,
    error: { code: 'content_filter', message: 'The response was filtered.' },
    code: 'content_policy_violation',
    answer: 400,
  },
  {
    name: 'a parameter that the model does not know',
    status: 400,
    error: { code: 'unsupported_parameter', message: 'Unsupported parameter.', param: 'top_k' },
    code: 'unsupported_parameter',
    answer: 400,
  },
  {
    name: 'a model that is gone',
    status: 404,
    error: { code: 'model_not_found', message: 'The model does not exist.' },
    code: 'model_not_found',
    answer: 404,
  },
  {
    name: 'a body that is too large',
    status: 413,
    error: { message: 'Too large.' },
    code: 'request_too_large',
    answer: 413,
  },
  {
    name: 'what cannot be processed',
    status: 422,
    error: { message: 'temperature is wrong.' },
    code: 'invalid_request',
    answer: 400,
  },
] as const

for (const { name, status, error, code, answer } of rejections) {
  for (const stream of [false, true]) {
    test(`${name} is told to the caller in the server's words (${stream ? 'stream' : 'plain'})`, async () => {
      await using server = await startModelServer(json(status, { error }))
      await using other = await startModelServer(openAiScript())
      await using gateway = await startGateway(configOf([server, other]))

      const { response, text } = await ask(gateway.chat({ stream }), [server, other])

      expect(response.status).toBe(answer)
      expect(JSON.parse(text).error).toMatchObject({ code, message: error.message, type: 'invalid_request_error' })
      expect(other.calls).toHaveLength(0)
    })
  }
}

for (const status of [301, 302, 303, 307, 308]) {
  test(`HTTP ${status} is not followed`, async () => {
    await using elsewhere = await startModelServer(openAiScript())
    await using server = await startModelServer([
      head(status, { location: `${elsewhere.url}/v1/x`, 'content-length': '0' }),
    ])
    await using gateway = await startGateway(configOf([server]))

    const { response, text } = await ask(gateway.chat(), [server, elsewhere])

    expect(response.status).toBe(502)
    expect(JSON.parse(text).error.code).toBe('upstream_invalid_response')
    expect(elsewhere.requests).toHaveLength(0)
  })
}

for (const stream of [false, true]) {
  test(`a server that refuses connections is passed over (${stream ? 'stream' : 'plain'})`, async () => {
    const gone = await startModelServer(hang())
    await gone.close()
    await using sound = await startModelServer(openAiScript())
    await using alone = await startGateway(configOf([gone]))
    await using gateway = await startGateway(configOf([gone, sound]))

    const failure = await ask(alone.chat({ stream }), [gone])
    const { response } = await ask(gateway.chat({ stream }), [gone, sound])

    expect([failure.response.status, JSON.parse(failure.text).error.code]).toEqual([503, 'all_targets_failed'])
    expect(answeredBy(response)).toEqual([200, 'chat', 'b', '2'])
  })
}

test('a limited server says when it can be asked again, and is left alone until then', async () => {
  await using server = await startModelServer(openAiError(429, STORY, null, { 'retry-after': '7' }))
  await using gateway = await startGateway(configOf([server]))

  const first = await ask(gateway.chat(), [server])
  const second = await ask(gateway.chat(), [server])

  for (const { response } of [first, second]) {
    expect(response.status).toBe(429)
    expect(Number(response.headers.get('retry-after'))).toBeWithin(6, 8)
  }
  expect(server.calls).toHaveLength(1)
})

test('a call may name its own fallbacks, which no server hears of', async () => {
  await using broken = await startModelServer(openAiError(500, STORY, null))
  await using sound = await startModelServer(openAiScript())
  const models = Object.fromEntries(
    ['chat', 'spare'].map((name, at) => [name, { targets: [{ server: 'ab'[at], model: name }] }]),
  )
  await using gateway = await startGateway(configOf([broken, sound], { models }))

  const { response } = await ask(gateway.chat({ fallbacks: ['spare'] }), [broken, sound])

  expect(answeredBy(response)).toEqual([200, 'spare', 'b', '3'])
  for (const server of [broken, sound]) expect(server.calls[0]?.json()).not.toHaveProperty('fallbacks')
})

test('a server that is full is passed over, and when all are, the caller is told to wait', async () => {
  const busy = gate()
  await using full = await startModelServer([busy, json(200, WHOLE)])
  await using sound = await startModelServer(openAiScript())
  const limited = (servers: readonly ModelServer[]) => {
    const config = configOf(servers)
    const [first, ...rest] = config.servers as readonly object[]
    return { ...config, timeouts: { queue: 0 }, servers: [{ ...first, max_concurrent: 1 }, ...rest] }
  }
  await using alone = await startGateway(limited([full]))
  await using gateway = await startGateway(limited([full, sound]))

  const running = [alone.chat(), gateway.chat()]
  await full.called(2)
  const refused = await ask(alone.chat(), [full])
  const others = await Promise.all([gateway.chat(), gateway.chat()])
  busy.open()
  const answers = await Promise.all(running)

  expect([refused.response.status, JSON.parse(refused.text).error.code]).toEqual([429, 'queue_full'])
  expect(Number(refused.response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(others.map(response => response.headers.get('x-citadel-server'))).toEqual(['b', 'b'])
  expect(answers.map(response => response.status)).toEqual([200, 200])
})

test('no more servers are asked than the configuration allows', async () => {
  await using server = await startModelServer(openAiError(500, STORY, null))
  await using gateway = await startGateway(configOf(Array.from({ length: 6 }, () => server)))

  const { text } = await ask(gateway.chat(), [server])

  expect(server.calls).toHaveLength(4)
  expect(JSON.parse(text).error.attempts).toHaveLength(4)
})

const clocks = { first_byte: 150, first_token: 300, idle: '200ms', total: '5s' }
const asDurations = { ...clocks, first_byte: '150ms', first_token: '300ms' }
const impatient = { timeouts: asDurations, retry: { backoff_base: '1ms' } }

/** Only the first server has short clocks, so that a slow machine never makes the sound one look silent. */
function impatientAt(config: Tree): Tree {
  const [first, ...rest] = config.servers as readonly object[]
  return { ...config, retry: impatient.retry, servers: [{ ...first, timeouts: asDurations }, ...rest] }
}

/** Reads an answer and holds against it whatever it tells of the inside. */
async function ask(asked: Promise<Response>, servers: readonly ModelServer[]) {
  const response = await asked
  const text = await response.text()
  const told = `${JSON.stringify([...response.headers])}${text}`
  for (const secret of [SERVER_KEY, '127.0.0.1', '10.1.2.3', ...servers.map(server => `:${server.port}`)]) {
    expect(told).not.toContain(secret)
  }
  return { response, text }
}

/** The calls that each server is at work on, as the gateway counts them. */
async function inFlightOf(gateway: TestGateway): Promise<number[]> {
  const health = await (await fetch(`${gateway.url}/health/detailed`)).json()
  const { servers } = health as { readonly servers: readonly { readonly in_flight: number }[] }
  return servers.map(server => server.in_flight)
}

function answeredBy(response: Response) {
  const named = ['model', 'server', 'attempts'].map(name => response.headers.get(`x-citadel-${name}`))
  return [response.status, ...named]
}

function contentOf(text: string, stream: boolean): string {
  if (!stream) return JSON.parse(text).choices[0].message.content
  expect(text).toEndWith('data: [DONE]\n\n')
  const events = text.split('\n\n').filter(event => event.startsWith('data: {'))
  return events.map(event => JSON.parse(event.slice(6)).choices[0]?.delta.content ?? '').join('')
}
