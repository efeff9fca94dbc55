import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { fastest } from '#tests/support/fastest.ts'
import { bytes, chunk, gate, hang, head, inTurn, json, type Script, startUpstream } from '#tests/support/upstream.ts'
import { failureOf, openLine, post, realClock, storyOf, until } from './harness.ts'

const OK = json(200, 'ok')
const LEFT = new GatewayError('client_closed_request', 'The client closed the request.')

describe('the connect clock', () => {
  test('ends a connection that does not come about', async () => {
    const clock = fakeClock()
    await using upstream = await startUpstream(OK)
    await using line = openLine({ clock })
    // The loop has not turned since, so that no connection can stand.
    const failure = failureOf(line.send(post(upstream.url), { connect: 50 }))

    clock.advance(50)

    expect(storyOf(await failure)).toEqual({
      code: 'upstream_error',
      message: 'The model server could not be reached.',
      reason: 'connect timeout',
    })
    expect(line.sockets.counts().open).toBe(0)
    await settled()
    await upstream.allClosed()
    expect(clock.pending).toBe(0)
  })

  test('does not run any more when the connection stands', async () => {
    const clock = fakeClock()
    const door = gate()
    await using upstream = await startUpstream([door, OK])
    await using line = openLine({ clock })
    const answer = line.send(post(upstream.url), { connect: 50, first_byte: 1000 })
    await upstream.received(1)

    clock.advance(999)
    door.open()

    expect(await (await answer).text(10)).toBe('ok')
  })
})

describe('the first-byte clock', () => {
  test('begins anew when a request that the server takes slowly has left as a whole', async () => {
    const clock = fakeClock()
    const body = 'x'.repeat(30_000_000)
    const socket = Promise.withResolvers<Bun.Socket>()
    const seen = { bytes: 0 }
    const server = Bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      socket: {
        open(each) {
          each.pause()
          socket.resolve(each)
        },
        data(_, data) {
          seen.bytes += data.length
        },
      },
    })
    await using line = openLine({ clock })
    const answer = line.send(post(`http://127.0.0.1:${server.port}`, body), { first_byte: 1000 })
    const end = await socket.promise
    await settled(5)

    clock.advance(900)
    end.resume()
    await until(() => seen.bytes > body.length)
    clock.advance(900)
    end.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')

    expect(await (await answer).text(10)).toBe('ok')
    server.stop(true)
  })

  test('runs from the request to the end of the head', async () => {
    const clock = fakeClock()
    const door = gate()
    await using upstream = await startUpstream([bytes('HTTP/1.1 200 OK\r\n'), door, hang()])
    await using line = openLine({ clock })
    const failure = failureOf(line.send(post(upstream.url), { first_byte: 1000 }))
    await door.reached

    clock.advance(999)
    await settled()
    expect(line.sockets.counts().open).toBe(1)
    clock.advance(1)

    expect(storyOf(await failure)).toMatchObject({
      code: 'upstream_timeout',
      message: 'The model server did not answer in time.',
    })
    await upstream.allClosed()
  })

  test('does not run while the body is read', async () => {
    const clock = fakeClock()
    const door = gate()
    await using upstream = await startUpstream([head(200, { 'content-length': '2' }), door, bytes('ok')])
    await using line = openLine({ clock })
    const answer = await line.send(post(upstream.url), { first_byte: 1000, idle: 10_000 })
    const text = answer.text(10)

    clock.advance(9000)
    door.open()

    expect(await text).toBe('ok')
  })

  test('begins anew on the connection that replaces a dead one, and ends that too', async () => {
    const clock = fakeClock()
    await using upstream = await startUpstream(inTurn(OK, [{ step: 'cut' }], hang()))
    await using line = openLine({ clock })
    await (await line.send(post(upstream.url))).text(10)
    const failure = failureOf(line.send(post(upstream.url), { first_byte: 1000 }))
    await upstream.received(3)

    clock.advance(1000)

    expect((await failure).code).toBe('upstream_timeout')
    expect(upstream.requests).toHaveLength(3)
    await upstream.allClosed()
  })
})

describe('the idle clock', () => {
  test('ends a text that has fallen silent', async () => {
    const clock = fakeClock()
    await using upstream = await startUpstream([head(200, { 'content-length': '9' }), bytes('abc'), hang()])
    await using line = openLine({ clock })
    const answer = await line.send(post(upstream.url), { idle: 1000 })
    const failure = failureOf(answer.text(10))
    await settled(5)

    clock.advance(2000)

    expect((await failure).code).toBe('upstream_idle_timeout')
    await upstream.allClosed()
  })
})

test('no clock runs on when all is done', async () => {
  const clock = fakeClock()
  await using upstream = await startUpstream(OK)
  await using line = openLine({ clock })

  for (let n = 0; n < 3; n++) await (await line.send(post(upstream.url))).text(10)
  line.sockets.close()

  expect(clock.pending).toBe(0)
})

describe('a scope that ends closes the connection within 100 ms', () => {
  const phases = [
    ['before the connection stands', OK, 0],
    ['while the server thinks', hang(), 1],
    ['within the head', [bytes('HTTP/1.1 200'), hang()], 1],
    ['within the body', [head(200, { 'transfer-encoding': 'chunked' }), chunk('a'), hang()], 1],
    ['within a text', [head(200, { 'content-length': '9' }), bytes('a'), hang()], 1],
  ] as const

  async function closedAfterMs(script: Script, requests: number): Promise<number> {
    await using upstream = await startUpstream(script)
    const scope = createScope(realClock)
    await using line = openLine({}, scope)
    const failure = failureOf(line.send(post(upstream.url)).then(answer => answer.text(100)))
    if (requests > 0) {
      await upstream.received(requests)
      await settled(5)
    }
    const endedAt = performance.now()

    scope.cancel(LEFT)

    expect(await failure).toBe(LEFT)
    expect(line.sockets.counts()).toEqual({ open: 0, idle: 0 })
    await settled(5)
    await until(() => upstream.openSockets() === 0)
    return performance.now() - endedAt
  }

  test.each(phases)('%s', async (_, script, requests) => {
    expect(await fastest(100, () => closedAfterMs(script, requests))).toBeLessThan(100)
  })

  test('while the request is being written', async () => {
    const closed = Promise.withResolvers<number>()
    const server = Bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      socket: {
        open(socket) {
          socket.pause()
          setTimeout(() => socket.resume(), 150)
        },
        data() {},
        close: () => closed.resolve(performance.now()),
      },
    })
    const scope = createScope(realClock)
    await using line = openLine({}, scope)
    const failure = failureOf(line.send(post(`http://127.0.0.1:${server.port}`, 'x'.repeat(30_000_000))))
    await new Promise(resolve => setTimeout(resolve, 100))

    scope.cancel(LEFT)

    expect(await failure).toBe(LEFT)
    expect(line.sockets.counts().open).toBe(0)
    await closed.promise
    server.stop(true)
  })

  test('and an answer that has all come stays readable', async () => {
    await using upstream = await startUpstream(OK)
    const scope = createScope(realClock)
    await using line = openLine({}, scope)
    const answer = await line.send(post(upstream.url))
    await until(() => line.sockets.counts().idle === 1)

    scope.cancel(LEFT)

    expect(await answer.text(10)).toBe('ok')
    expect(line.sockets.counts()).toEqual({ open: 1, idle: 1 })
  })
})
