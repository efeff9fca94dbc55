import { describe, expect, test } from 'bun:test'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import type { Transport } from '#providers/transport.ts'
import { drain, failureOf, PATIENT, post, realClock } from '#tests/providers/transport/harness.ts'
import {
  bytes,
  chunk,
  cut,
  gate,
  hang,
  head,
  html,
  inTurn,
  json,
  lastChunk,
  reset,
  type Script,
  type Steps,
  sse,
  startUpstream,
} from '#tests/support/upstream.ts'

/** A transport under test. */
export interface Subject {
  readonly transport: Transport
  close(): void
}

const FAILED = 'The connection to the model server failed.'
const UNREADABLE = 'The model server sent an answer that could not be read.'
const SILENT = 'The model server did not answer in time.'
const QUIET = 'The model server fell silent in the middle of its answer.'
const sized = (length: number) => head(200, { 'content-length': String(length) })
const chunked = head(200, { 'transfer-encoding': 'chunked' })

/** Answers that every transport reads in the same way. */
const ANSWERS: readonly { readonly name: string; readonly script: Steps; readonly body: string }[] = [
  { name: 'a body with its length', script: json(200, { ok: true }), body: '{"ok":true}' },
  { name: 'an empty body', script: json(200, ''), body: '' },
  { name: 'a body in pieces', script: [sized(6), bytes('abc'), bytes('def')], body: 'abcdef' },
  { name: 'chunks', script: [chunked, chunk('ab'), chunk('c'), lastChunk()], body: 'abc' },
  { name: 'chunks with extensions', script: [chunked, bytes('2;a=b\r\nhi\r\n0;c\r\n\r\n')], body: 'hi' },
  { name: 'trailers', script: [chunked, chunk('hi'), bytes('0\r\nx-sum: 1\r\n\r\n')], body: 'hi' },
  {
    name: 'a body that ends with its connection',
    script: [head(200), bytes('until the end'), cut()],
    body: 'until the end',
  },
  { name: 'interim answers', script: [head(103, { link: '</x>' }), head(100), json(200, 'late')], body: 'late' },
  { name: 'no content', script: head(204), body: '' },
  { name: 'HTTP/1.0', script: [bytes('HTTP/1.0 200 OK\r\n\r\nold'), cut()], body: 'old' },
  { name: 'no reason phrase', script: bytes('HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok'), body: 'ok' },
  {
    name: 'a character in two reads',
    script: [sized(2), bytes(new Uint8Array([0xc3])), bytes(new Uint8Array([0xa9]))],
    body: 'é',
  },
  { name: 'a byte order mark', script: json(200, '\ufeffx'), body: 'x' },
  { name: 'events', script: sse(['a', 'b']), body: 'data: a\n\ndata: b\n\n' },
]

/** What goes wrong, before the head or in the body; `reason` is the code and the message. */
const FAILURES: readonly {
  readonly name: string
  readonly script: Steps
  readonly error: readonly [string, string]
}[] = [
  { name: 'an end before the head', script: cut(), error: ['upstream_error', FAILED] },
  { name: 'a reset before the head', script: reset(), error: ['upstream_error', FAILED] },
  {
    name: 'an end within the head',
    script: [bytes('HTTP/1.1 200 OK\r\ncont'), cut()],
    error: ['upstream_error', FAILED],
  },
  { name: 'a body shorter than it says', script: [sized(9), bytes('abc'), cut()], error: ['upstream_error', FAILED] },
  { name: 'a reset within the body', script: [sized(9), bytes('abc'), reset()], error: ['upstream_error', FAILED] },
  { name: 'chunks without the last', script: [chunked, chunk('abc'), cut()], error: ['upstream_error', FAILED] },
  { name: 'half a chunk', script: [chunked, bytes('5\r\nab'), cut()], error: ['upstream_error', FAILED] },
  {
    name: 'no HTTP',
    script: [bytes('SSH-2.0-OpenSSH_9.6\r\n\r\n'), cut()],
    error: ['upstream_invalid_response', UNREADABLE],
  },
  {
    name: 'a chunk size that is none',
    script: [chunked, bytes('zz\r\n{}')],
    error: ['upstream_invalid_response', UNREADABLE],
  },
  {
    name: 'a length that is none',
    script: [head(200, { 'content-length': '1x' }), bytes('a')],
    error: ['upstream_invalid_response', UNREADABLE],
  },
  {
    name: 'two lengths',
    script: [bytes('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab')],
    error: ['upstream_invalid_response', UNREADABLE],
  },
  {
    name: 'a length beside chunks',
    script: bytes('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n'),
    error: ['upstream_invalid_response', UNREADABLE],
  },
  {
    name: 'a header over two lines',
    script: bytes('HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 2\r\n\r\nhi'),
    error: ['upstream_invalid_response', UNREADABLE],
  },
  {
    name: 'lines that end with LF alone',
    script: bytes('HTTP/1.1 200 OK\ncontent-length: 2\n\nhi'),
    error: ['upstream_invalid_response', UNREADABLE],
  },
  {
    name: 'an answer that is cut off by a reset, with no length',
    script: [head(200), bytes('half'), reset()],
    error: ['upstream_error', FAILED],
  },
]

/** What every transport promises, whatever it goes over. */
export function transportContract(name: string, create: (clock: Clock) => Subject): void {
  async function setup(script: Script) {
    const upstream = await startUpstream(script)
    const subject = create(realClock)
    const scope = createScope(realClock)
    const send = (outgoing = post(`${upstream.url}/v1/chat`), clocks = {}) =>
      subject.transport(outgoing, scope, { ...PATIENT, ...clocks })
    return {
      upstream,
      scope,
      send,
      async [Symbol.asyncDispose]() {
        subject.close()
        await upstream.close()
      },
    }
  }

  describe(`${name}: what it reads`, () => {
    for (const { name: title, script, body } of ANSWERS) {
      test(`${title}, as text`, async () => {
        await using line = await setup(script)

        expect(await (await line.send()).text(100)).toBe(body)
      })

      test(`${title}, in pieces`, async () => {
        await using line = await setup(script)

        const read = await drain(await line.send())

        expect(read.replace('\ufeff', '')).toBe(body)
      })
    }

    test('the status and the headers, whatever their case', async () => {
      await using line = await setup(json(429, 'slow', { 'Retry-After': '7', 'X-Two': 'a' }))

      const { head: seen } = await line.send()

      expect([seen.status, seen.header('retry-after'), seen.header('x-two'), seen.header('x-none')]).toEqual([
        429,
        '7',
        'a',
        null,
      ])
    })

    test('headers through a function that was taken along', async () => {
      await using line = await setup(json(200, 'ok', { 'x-one': '1' }))

      const { header } = (await line.send()).head

      expect(header('x-one')).toBe('1')
    })

    test('a redirect as the answer it is', async () => {
      await using line = await setup(html(302))

      expect((await line.send()).head.status).toBe(302)
      expect(line.upstream.requests).toHaveLength(1)
    })
  })

  describe(`${name}: what it sends`, () => {
    test('the method, the path, the headers and the body', async () => {
      await using line = await setup(json(200, 'ok'))

      await (
        await line.send(post(`${line.upstream.url}/a/b?c=d`, '{"text":"é€😀"}', { authorization: 'Bearer k' }))
      ).text(100)

      const [request] = line.upstream.requests
      expect(request).toMatchObject({ method: 'POST', path: '/a/b?c=d', body: '{"text":"é€😀"}' })
      expect(request?.headers).toMatchObject({ authorization: 'Bearer k', host: `127.0.0.1:${line.upstream.port}` })
    })

    test('a GET without a body', async () => {
      await using line = await setup(json(200, 'ok'))

      await (await line.send({ method: 'GET', url: line.upstream.url, headers: {}, body: null })).text(100)

      expect(line.upstream.requests[0]).toMatchObject({ method: 'GET', path: '/', body: '' })
    })

    test('two megabytes', async () => {
      await using line = await setup(json(200, 'ok'))
      const body = 'é'.repeat(1_000_000)

      await (await line.send(post(line.upstream.url, body))).text(100)

      expect(line.upstream.requests[0]?.body === body).toBe(true)
    })

    test('the next request over the same connection', async () => {
      await using line = await setup(inTurn(json(200, 'one'), [chunked, chunk('two'), lastChunk()], head(204)))

      for (let n = 0; n < 4; n++) await (await line.send()).text(100)

      expect(line.upstream.connections).toBe(1)
    })
  })

  describe(`${name}: what goes wrong`, () => {
    for (const { name: title, script, error } of FAILURES) {
      test(title, async () => {
        await using line = await setup(script)

        const failure = await failureOf(line.send().then(incoming => incoming.text(100)))

        expect([failure.code, failure.message]).toEqual([...error])
        await line.upstream.allClosed()
      })
    }

    test('an address with credentials', async () => {
      await using line = await setup(json(200, 'ok'))

      const failure = await failureOf(line.send(post(line.upstream.url.replace('//', '//user:secret@'))))

      expect([failure.code, failure.message]).toEqual(['upstream_error', FAILED])
      expect(line.upstream.requests).toHaveLength(0)
    })

    test('a connection that was closed while a POST was on its way: it goes over a new one', async () => {
      await using line = await setup(inTurn(json(200, 'one'), reset(), json(200, 'two')))
      await (await line.send()).text(100)

      expect(await (await line.send()).text(100)).toBe('two')
      expect(line.upstream.connections).toBe(2)
    })

    test('a server that refuses connections', async () => {
      await using line = await setup(hang())
      await line.upstream.close()

      const failure = await failureOf(line.send())

      expect([failure.code, failure.message]).toEqual(['upstream_error', FAILED])
    })

    test('a name that nobody has', async () => {
      await using line = await setup(hang())

      const failure = await failureOf(line.send(post('http://nobody.invalid/')))

      expect([failure.code, failure.message]).toEqual(['upstream_error', FAILED])
    })

    test('a body over its limit', async () => {
      await using line = await setup([chunked, chunk('x'.repeat(200)), hang()])

      const failure = await failureOf(line.send().then(incoming => incoming.text(100)))

      expect([failure.code, failure.message]).toEqual(['upstream_invalid_response', UNREADABLE])
      await line.upstream.allClosed()
    })

    test('silence before the head', async () => {
      await using line = await setup(hang())

      const failure = await failureOf(line.send(undefined, { connect: 20, first_byte: 60 }))

      expect([failure.code, failure.message]).toEqual(['upstream_timeout', SILENT])
      await line.upstream.allClosed()
    })

    test('silence within a text', async () => {
      await using line = await setup([sized(9), bytes('abc'), hang()])

      const failure = await failureOf(line.send(undefined, { idle: 50 }).then(incoming => incoming.text(100)))

      expect([failure.code, failure.message]).toEqual(['upstream_idle_timeout', QUIET])
      await line.upstream.allClosed()
    })
  })

  describe(`${name}: how it ends`, () => {
    const cause = new GatewayError('client_closed_request', 'The client closed the request.')

    test('not begun for a scope that has ended', async () => {
      await using line = await setup(json(200, 'ok'))
      line.scope.cancel(cause)

      expect(await failureOf(line.send())).toBe(cause)
      expect(line.upstream.connections).toBe(0)
    })

    test('with the scope, before the head', async () => {
      await using line = await setup(hang())
      const failure = failureOf(line.send())
      await line.upstream.received(1)

      line.scope.cancel(cause)

      expect(await failure).toBe(cause)
      await line.upstream.allClosed()
    })

    test('with the scope, within the body', async () => {
      await using line = await setup([chunked, chunk('abc'), hang()])
      const incoming = await line.send()
      await incoming.read()
      const failure = failureOf(incoming.read())

      line.scope.cancel(cause)

      expect(await failure).toBe(cause)
      await line.upstream.allClosed()
    })

    test('with close, and then reads as an end', async () => {
      await using line = await setup([chunked, chunk('abc'), hang()])
      const incoming = await line.send()

      incoming.close()

      expect(await incoming.read()).toBeNull()
      await line.upstream.allClosed()
    })

    test('not by a scope that ends when all is read', async () => {
      await using line = await setup(json(200, 'ok'))
      const incoming = await line.send()
      await incoming.text(100)

      line.scope.cancel(cause)
      incoming.close()

      expect(line.upstream.openSockets()).toBe(1)
    })

    test('piece by piece, each as soon as it is there', async () => {
      const door = gate()
      await using line = await setup([chunked, chunk('first'), door, chunk('second'), lastChunk()])
      const incoming = await line.send()

      const first = await incoming.read()
      door.open()

      expect(Buffer.from(first ?? []).toString()).toBe('first')
      expect(await drain(incoming)).toBe('second')
    })
  })
}
