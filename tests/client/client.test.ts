import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chatCompletion, chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { bytes, cut, hang, head, json, pause, type Script, sse } from '#tests/support/upstream.ts'
import type { CaseName } from './cases.ts'
import { gatewayOf, refused, scripted } from './gateways.ts'
import { type Built, build, RUNTIMES, type Runtime } from './runtimes.ts'

setDefaultTimeout(20_000)

const ID = expect.stringMatching(/^[0-9a-f-]{36}$/)
const whole = (headers: Readonly<Record<string, string>>) => json(200, chatCompletion('m'), headers)
const begun = chatEvents('m').slice(0, 2)

let built: Built
beforeAll(async () => {
  built = await build()
})
afterAll(() => built[Symbol.asyncDispose]())

describe.each(Object.entries(RUNTIMES))('in %s', (_, launch) => {
  let runtime: Runtime
  beforeAll(async () => {
    runtime = await launch(built)
  })
  afterAll(() => runtime[Symbol.asyncDispose]())

  const run = (name: CaseName, { url }: { readonly url: string }) => runtime.run(name, url)

  describe('what works', () => {
    test('a plain answer, and what its headers said', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('plain', gateway)).toEqual({
        text: 'Hello there!',
        info: { requestID: ID, model: 'chat', server: 'a', attempts: 1, cache: null, replayed: false },
        other: null,
      })
    })

    test('a stream, once', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('stream', gateway)).toMatchObject({
        text: 'Hello there!',
        info: { requestID: ID, model: 'chat' },
        again: { name: 'TypeError', message: 'A stream can be read once.' },
      })
    })

    test('a stream that is cut into single bytes', async () => {
      await using gateway = await scripted(headers => sse(chatEvents('é'), { headers, split: 'every-byte' }))

      expect(await run('stream', gateway)).toMatchObject({ text: 'Hello there!' })
    })

    test('a stream whose pieces end inside of a line, and inside of a letter', async () => {
      const events = chatEvents('m', { deltas: ['Grüße', ' aus Köln'] })
      const lines = events.map(event => `data:${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`)
      const text = Buffer.from(lines.join(''))
      const cuts = [0, text.indexOf('ü') + 1, text.indexOf('ö') + 1, text.length]
      const pieces = cuts.slice(1).map((to, at) => [pause(50), bytes(text.subarray(cuts[at], to))])
      await using gateway = await scripted(headers => [
        head(200, { ...headers, 'content-type': 'text/event-stream' }),
        ...pieces.flat(),
        cut(),
      ])

      expect(await run('stream', gateway)).toMatchObject({ text: 'Grüße aus Köln' })
    })

    test('headers of the application replace those of the client, in whatever letters', async () => {
      await using gateway = await scripted(whole)

      await run('ownHeaders', gateway)

      expect(gateway.sent).toMatchObject([
        { 'idempotency-key': 'mine', authorization: 'Bearer sk-of-the-application', 'x-team': 'b' },
        { 'idempotency-key': 'given', authorization: 'Bearer sk-of-the-application', 'x-team': 'b' },
      ])
    })

    test('calls whose caller waits for as long as it takes', async () => {
      await using gateway = await scripted(
        headers => [pause(100), whole(headers)],
        headers => [pause(100), sse(chatEvents('m'), { headers })],
      )

      expect(await run('unbounded', gateway)).toEqual({ answered: [expect.any(String), 'Hello there!'] })
    })

    test('texts, whole and in pieces', async () => {
      const piece = (text: string, finish_reason: string | null) => ({
        id: 'c',
        object: 'text_completion',
        created: 1,
        model: 'm',
        choices: [{ index: 0, text, finish_reason, logprobs: null }],
      })
      const script: Script = request =>
        request.body.includes('"stream":true')
          ? sse([piece('upon', null), piece(' a time', 'stop'), '[DONE]'])
          : json(200, piece('upon a time', 'stop'))
      await using gateway = await gatewayOf(script)

      expect(await run('completion', gateway)).toEqual({ whole: 'upon a time', text: 'upon a time' })
    })

    test('vectors', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('embed', gateway)).toEqual([
        [0.5, -0.25, 1],
        [0.5, -0.25, 1],
      ])
    })

    test('the models', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('models', gateway)).toEqual({ ids: ['chat'], one: 'chat', requestID: ID })
    })

    test('the story of a request', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('request', gateway)).toEqual({ outcome: 'ok', model: 'chat', servers: ['a'] })
    })

    test('an address that ends in /v1', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await runtime.run('plain', `${gateway.url}/v1/`)).toMatchObject({ text: 'Hello there!' })
    })
  })

  describe('what passes', () => {
    test('a limit of the gateway is waited for', async () => {
      const limits = { enabled: true, per_client: { requests_per_minute: 20, burst: 1 } }
      await using gateway = await gatewayOf(openAiScript(), { limits })

      expect(await run('twice', gateway)).toEqual(['Hello there!', 'Hello there!'])
      expect(await gateway.statuses()).toEqual([200, 429, 200])
    })

    test('a 503 is tried again under the same key, as soon as it says', async () => {
      await using gateway = await scripted(
        refused(503, 'overloaded', { 'retry-after-ms': '20', 'retry-after': '30' }),
        whole,
      )

      expect(await run('plain', gateway)).toMatchObject({ text: 'Hello there!' })
      expect(gateway.keys).toHaveLength(2)
      expect(gateway.keys[0]).toMatch(/^[\x21-\x7e]{20,}$/)
      expect(gateway.keys[1]).toBe(gateway.keys[0])
    })

    test('a 503 without a time is tried again, but not at once', async () => {
      await using gateway = await scripted(refused(503, 'overloaded'), whole)
      const startedAt = performance.now()

      expect(await run('plain', gateway)).toMatchObject({ text: 'Hello there!' })
      // Half of the first pause at least, less what clocks may differ by.
      expect(performance.now() - startedAt).toBeGreaterThan(240)
    })

    test('what the gateway says may pass is tried again, whatever it is', async () => {
      const passing = { 'x-should-retry': 'true', 'retry-after-ms': '1' }
      await using gateway = await scripted(refused(400, 'invalid_request', passing), whole)

      expect(await run('plain', gateway)).toMatchObject({ text: 'Hello there!' })
    })

    test('every call has a key of its own', async () => {
      await using gateway = await scripted(whole)

      await run('twice', gateway)

      expect(new Set(gateway.keys).size).toBe(2)
    })

    test.each([
      ['before its length', { 'content-length': '90' }],
      ['with its connection', { connection: 'close' }],
    ])('an answer that breaks off %s is asked for again', async (_, framing) => {
      const half = (headers: Readonly<Record<string, string>>) => [
        head(200, { ...headers, ...framing, 'content-type': 'application/json' }),
        bytes('{"id":'),
        cut(),
      ]
      await using gateway = await scripted(half, whole)

      expect(await run('plain', gateway)).toMatchObject({ text: 'Hello there!' })
      expect([gateway.keys.length, new Set(gateway.keys).size]).toEqual([2, 1])
    })

    test('a web page in place of the gateway is tried again when its status may pass', async () => {
      await using gateway = await scripted(
        headers => json(502, '<h1>Bad gateway</h1>', { ...headers, 'content-type': 'text/html', 'retry-after': '0' }),
        whole,
      )

      expect(await run('plain', gateway)).toMatchObject({ text: 'Hello there!' })
    })
  })

  describe('what fails', () => {
    test('servers that are all out: once, for the gateway has tried', async () => {
      await using gateway = await gatewayOf(json(500, { error: { message: 'broken' } }))

      expect(await run('fail', gateway)).toMatchObject({
        name: 'CitadelError',
        code: 'all_targets_failed',
        status: 503,
        type: 'server_error',
        requestID: ID,
        attempts: [{ server: 'a', result: 'upstream_error' }, {}, {}, {}].slice(0, gateway.server.calls.length),
      })
      expect(await gateway.statuses()).toEqual([503])
    })

    test('a wait that is too long is told at once', async () => {
      await using gateway = await scripted(refused(429, 'rate_limit_exceeded', { 'retry-after': '120' }))

      expect(await run('fail', gateway)).toMatchObject({
        code: 'rate_limit_exceeded',
        status: 429,
        retryAfterMs: 120_000,
        quick: true,
      })
      expect(gateway.keys).toHaveLength(1)
    })

    test.each([
      ['than the call has time', 'failInTime', '30'],
      ['than the application allows', 'failImpatient', '30'],
      ['than a call that is not to be repeated', 'failOnceHere', '0'],
    ] as const)('a wait that is longer %s is told at once', async (_, name, seconds) => {
      await using gateway = await scripted(refused(503, 'overloaded', { 'retry-after': seconds }))

      expect(await run(name, gateway)).toMatchObject({ code: 'overloaded', status: 503, quick: true })
      expect(gateway.keys).toHaveLength(1)
    })

    test('a wait until a date', async () => {
      await using gateway = await scripted(
        refused(503, 'overloaded', { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() }),
      )

      const { retryAfterMs } = Object(await run('fail', gateway))
      expect(retryAfterMs).toBeWithin(3_590_000, 3_600_001)
    })

    test.each([
      [{ 'retry-after': '120.5' }, 120_500],
      [{ 'retry-after': '120', 'retry-after-ms': '' }, 120_000],
    ])('a wait of %o', async (headers, ms) => {
      await using gateway = await scripted(refused(503, 'overloaded', headers))

      expect(await run('fail', gateway)).toMatchObject({ retryAfterMs: ms })
      expect(gateway.keys).toHaveLength(1)
    })

    test.each(['-1', '1, 2', 'soon'])('a wait that is none: %s', async value => {
      await using gateway = await scripted(refused(503, 'overloaded', { 'retry-after': value }))

      expect(await run('failOnce', gateway)).toMatchObject({ retryAfterMs: null })
      expect(gateway.keys).toHaveLength(1)
    })

    test('attempts end', async () => {
      await using gateway = await scripted(refused(503, 'overloaded', { 'retry-after-ms': '1' }))

      expect(await run('fail', gateway)).toMatchObject({ code: 'overloaded' })
      expect(gateway.keys).toHaveLength(3)
    })

    test('a mistake is not repeated', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('unknownModel', gateway)).toMatchObject({
        code: 'model_not_found',
        status: 404,
        param: 'model',
        message: expect.stringContaining('"chat"'),
        requestID: ID,
      })
      expect(await gateway.statuses()).toEqual([404])
    })

    test('a wrong key', async () => {
      await using gateway = await gatewayOf(openAiScript(), {
        auth: { keys: [{ name: 'a', key: 'sk-of-somebody-else' }] },
      })

      expect(await run('fail', gateway)).toMatchObject({ code: 'invalid_api_key', status: 401 })
      expect(await run('failStream', gateway)).toMatchObject({ code: 'invalid_api_key', status: 401 })
    })

    test('JSON that is no answer', async () => {
      await using gateway = await scripted(headers => json(200, 'null', headers))

      expect(await run('fail', gateway)).toMatchObject({ code: 'unexpected_answer', status: 200 })
    })

    test('JSON that is no list of models', async () => {
      await using gateway = await scripted(headers => json(200, { status: 'ok' }, headers))

      expect(await run('failModels', gateway)).toMatchObject({ code: 'unexpected_answer', status: 200 })
    })

    test('something else at the address', async () => {
      await using gateway = await scripted(headers =>
        json(200, '<h1>Log in</h1>', { ...headers, 'content-type': 'text/html' }),
      )

      for (const name of ['fail', 'failStream'] as const) {
        expect(await run(name, gateway)).toMatchObject({
          code: 'unexpected_answer',
          status: 200,
          message: expect.stringContaining('text/html'),
        })
      }
    })

    test('a code that this version does not know', async () => {
      await using gateway = await scripted(refused(418, 'teapot'))

      expect(await run('fail', gateway)).toMatchObject({ code: 'unexpected_answer', status: 418, message: 'No.' })
    })

    test('nobody at the address', async () => {
      const gone = await scripted(whole)
      await gone[Symbol.asyncDispose]()

      const told = { code: 'connection_failed', status: null, message: expect.not.stringContaining('letmein') }
      expect(await run('failOnce', gone)).toMatchObject(told)
      expect(await run('failWithPassword', gone)).toMatchObject(told)
    })

    test.each([
      ['does not come', () => hang()],
      [
        'does not end',
        (headers: Readonly<Record<string, string>>) => [
          head(200, { ...headers, 'content-type': 'application/json' }),
          bytes('{"id":'),
          hang(),
        ],
      ],
    ])('an answer that %s in time', async (_, script) => {
      await using gateway = await scripted(script)

      expect(await run('late', gateway)).toMatchObject({ code: 'client_timeout', status: null, quick: true })
      await gateway.allClosed()
    })

    test('an answer that does not come in time, by another fetch', async () => {
      await using gateway = await scripted(whole)

      expect(await run('lateElsewhere', gateway)).toMatchObject({ code: 'client_timeout', status: null })
    })
  })

  describe('streams that end early', () => {
    test('by what the gateway says', async () => {
      await using gateway = await gatewayOf(sse([...begun, cut()]), { retry: { max_attempts: 1 } })

      expect(await run('broken', gateway)).toMatchObject({
        text: 'Hello',
        failed: { code: 'stream_interrupted', status: null, deliveredChars: 5, requestID: ID },
      })
    })

    test.each([
      ['cut', [pause(100), cut()]],
      ['ended in good order', []],
    ])('%s without a last word', async (_, end) => {
      await using gateway = await scripted(headers => sse([...begun, ...end], { headers }))

      expect(await run('broken', gateway)).toMatchObject({
        text: 'Hello',
        failed: { code: 'stream_truncated', deliveredChars: 5 },
      })
    })

    test('with an event that is not JSON', async () => {
      await using gateway = await scripted(headers => sse([...begun, '{"choi'], { headers }))

      expect(await run('broken', gateway)).toMatchObject({ text: 'Hello', failed: { code: 'unexpected_answer' } })
    })

    test('by silence, which closes them', async () => {
      await using gateway = await scripted(headers => sse([...begun, hang()], { headers }))

      expect(await run('broken', gateway)).toMatchObject({
        text: 'Hello',
        failed: { code: 'client_timeout', quick: true },
      })
      await gateway.allClosed()
    })

    test('but not because the application takes its time', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('slowReader', gateway)).toBe('Hello there!')
    })
  })

  describe('leaving', () => {
    test('while waiting for an answer closes the connection', async () => {
      await using gateway = await scripted(() => hang())

      expect(await run('abortWaiting', gateway)).toMatchObject({
        name: 'CitadelError',
        code: 'aborted',
        cause: 'changed my mind',
        quick: true,
      })
      await gateway.allClosed()
    })

    test('is listened for as long as the call lasts, and no longer', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('longLivedSignal', gateway)).toEqual({ during: 1, after: 0 })
    })

    test('before the call asks nobody', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('abortedBefore', gateway)).toMatchObject({ code: 'aborted' })
      expect(gateway.server.calls).toHaveLength(0)
    })

    test('ends the wait between two attempts', async () => {
      await using gateway = await scripted(refused(503, 'overloaded', { 'retry-after': '30' }))

      expect(await run('abortWhileRetrying', gateway)).toMatchObject({ code: 'aborted', quick: true })
      expect(gateway.keys).toHaveLength(1)
    })

    test.each([
      ['abortStream', { code: 'aborted' }],
      ['abortUnread', 'left'],
      ['leave', 'Hello'],
      ['dropInAbort', 'Hello'],
      ['dropInSignal', 'Hello'],
    ] as const)('a stream closes the server: %s', async (name, outcome) => {
      await using gateway = await gatewayOf(sse([...begun, hang()]))

      const given = await run(name, gateway)
      const asked = await gateway.server.called(1)
      await asked.closed

      expect(typeof outcome === 'string' ? given : Object(given)).toEqual(
        typeof outcome === 'string' ? outcome : expect.objectContaining(outcome),
      )
      expect(await gateway.logged({ outcome: 'cancelled' })).toMatchObject({ stream: true })
    })
  })

  describe('moving over', () => {
    test('the shape of the openai package', async () => {
      await using gateway = await gatewayOf(openAiScript())

      expect(await run('dropIn', gateway)).toMatchObject({
        plain: 'Hello there!',
        text: 'Hello there!',
        vectors: 1,
        ids: ['chat'],
        failed: { code: 'model_not_found', status: 404, type: 'invalid_request_error', param: 'model' },
      })
    })

    test('the provider answers when there is no gateway', async () => {
      const gone = await scripted(whole)
      await gone[Symbol.asyncDispose]()

      expect(await run('fallback', gone)).toEqual({ answer: 'direct', events: ['fallback'] })
    })
  })
})
