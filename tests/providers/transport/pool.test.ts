import { heapStats } from 'bun:jsc'
import { describe, expect, test } from 'bun:test'
import { fakeClock } from '#tests/support/clock.ts'
import { bytes, cut, gate, hang, head, inTurn, json, pause, reset, startUpstream } from '#tests/support/upstream.ts'
import { failureOf, openLine, post, storyOf, until } from './harness.ts'

const OK = json(200, 'ok')

describe('a connection is kept', () => {
  test('for the next request to the same origin', async () => {
    await using upstream = await startUpstream(OK)
    await using line = openLine()

    for (const path of ['/a', '/b', '/c']) await (await line.send(post(upstream.url + path))).text(10)

    expect(upstream.connections).toBe(1)
    expect(line.sockets.counts()).toEqual({ open: 1, idle: 1 })
  })

  test('as soon as the answer is there, read or not', async () => {
    await using upstream = await startUpstream(OK)
    await using line = openLine()
    const first = await line.send(post(upstream.url))
    await until(() => line.sockets.counts().idle === 1)

    expect(await (await line.send(post(upstream.url))).text(10)).toBe('ok')
    expect(await first.text(10)).toBe('ok')
    expect(upstream.connections).toBe(1)
  })

  test('one for each request at a time', async () => {
    const door = gate()
    await using upstream = await startUpstream([door, OK])
    await using line = openLine()
    const calls = Array.from({ length: 20 }, () => line.send(post(upstream.url)).then(answer => answer.text(10)))
    await upstream.received(20)
    door.open()
    await Promise.all(calls)

    expect(upstream.connections).toBe(20)
    expect(line.sockets.counts()).toEqual({ open: 20, idle: 20 })
  })

  test('up to a number of idle ones', async () => {
    const door = gate()
    await using upstream = await startUpstream([door, OK])
    await using line = openLine({ idleMax: 3 })
    const calls = Array.from({ length: 8 }, () => line.send(post(upstream.url)).then(answer => answer.text(10)))
    await upstream.received(8)
    door.open()
    await Promise.all(calls)

    expect(line.sockets.counts()).toEqual({ open: 3, idle: 3 })
    await until(() => upstream.openSockets() === 3)
  })

  test('until it has been idle for the configured time', async () => {
    const clock = fakeClock()
    await using upstream = await startUpstream(OK)
    await using line = openLine({ clock, idleMs: 1000 })
    await (await line.send(post(upstream.url))).text(10)

    clock.advance(999)
    expect(line.sockets.counts().idle).toBe(1)
    clock.advance(1)

    expect(line.sockets.counts()).toEqual({ open: 0, idle: 0 })
    await upstream.allClosed()
    expect(clock.pending).toBe(0)
  })

  test('each until its own idle time is over', async () => {
    const clock = fakeClock()
    const doors = [gate(), gate()]
    await using upstream = await startUpstream(({ index }) => [doors[index] ?? [], OK])
    await using line = openLine({ clock, idleMs: 1000 })
    const calls = doors.map(() => line.send(post(upstream.url)).then(answer => answer.text(10)))
    await upstream.received(2)
    for (const [index, door] of doors.entries()) {
      door.open()
      await calls[index]
      clock.advance(600)
    }
    const counts = [line.sockets.counts().open]
    for (const ms of [399, 1]) {
      clock.advance(ms)
      counts.push(line.sockets.counts().open)
    }

    expect(counts).toEqual([1, 1, 0])
  })

  test('as long as the server says, with a second to spare', async () => {
    const clock = fakeClock()
    await using upstream = await startUpstream(json(200, 'ok', { 'keep-alive': 'max=9, timeout=5' }))
    await using line = openLine({ clock })
    await (await line.send(post(upstream.url))).text(10)

    clock.advance(3999)
    expect(line.sockets.counts().idle).toBe(1)
    clock.advance(1)

    expect(line.sockets.counts().open).toBe(0)
  })

  test('no longer than the server says, though another one is kept for longer', async () => {
    const clock = fakeClock()
    const doors = [gate(), gate()]
    await using upstream = await startUpstream(({ index }) =>
      index === 0 ? [doors[0] ?? [], OK] : [doors[1] ?? [], json(200, 'ok', { 'keep-alive': 'timeout=5' })],
    )
    await using line = openLine({ clock })
    const calls = [0, 1].map(() => line.send(post(upstream.url)).then(answer => answer.text(10)))
    await upstream.received(2)
    for (const [index, door] of doors.entries()) {
      door.open()
      await calls[index]
    }

    clock.advance(4000)
    await (await line.send(post(upstream.url))).text(10)

    expect([upstream.connections, line.sockets.counts()]).toEqual([2, { open: 1, idle: 1 }])
  })
})

describe('a connection is not kept', () => {
  test.each([
    ['the server closes it', json(200, 'ok', { connection: 'close' })],
    ['the server keeps it for a second only', json(200, 'ok', { 'keep-alive': 'timeout=1' })],
    [
      'the server said more than was asked',
      bytes('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n'),
    ],
    ['the body ended with it', [head(200), bytes('ok'), cut()]],
  ])('when %s', async (_, script) => {
    await using upstream = await startUpstream(script)
    await using line = openLine()

    expect(await (await line.send(post(upstream.url))).text(10)).toBe('ok')

    expect(line.sockets.counts()).toEqual({ open: 0, idle: 0 })
    await upstream.allClosed()
  })

  test.each([
    ['closes', cut()],
    ['resets', reset()],
    ['talks without being asked', bytes('HTTP/1.1 408 Request Timeout\r\n\r\n')],
  ])('when the server %s while it is idle', async (_, step) => {
    await using upstream = await startUpstream(inTurn([OK, pause(10), step], OK))
    await using line = openLine()
    await (await line.send(post(upstream.url))).text(10)
    await until(() => line.sockets.counts().open === 0)

    expect(await (await line.send(post(upstream.url))).text(10)).toBe('ok')
    expect(upstream.connections).toBe(2)
  })

  test('when its answer was given up', async () => {
    await using upstream = await startUpstream([head(200, { 'content-length': '9' }), bytes('abc'), hang()])
    await using line = openLine()
    const answer = await line.send(post(upstream.url))

    answer.close()

    expect(line.sockets.counts()).toEqual({ open: 0, idle: 0 })
    await upstream.allClosed()
  })

  test('when the server answered before it had the whole request', async () => {
    // A server that reads nothing: the kernel's buffers take some of this request only.
    await using early = Bun.listen({
      hostname: '127.0.0.1',
      port: 0,
      socket: {
        open(socket) {
          socket.pause()
          socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig')
        },
        data() {},
      },
    })
    await using line = openLine()

    const answer = await line.send(post(`http://127.0.0.1:${early.port}`, 'x'.repeat(20_000_000)))

    expect([answer.head.status, await answer.text(10)]).toEqual([413, 'big'])
    expect(line.sockets.counts().open).toBe(0)
    early.stop(true)
  })
})

describe('a connection that dies before the first byte', () => {
  test('is replaced once when it had served before', async () => {
    await using upstream = await startUpstream(inTurn(OK, reset(), reset(), OK))
    await using line = openLine()
    await (await line.send(post(upstream.url))).text(10)

    const failure = await failureOf(line.send(post(upstream.url)))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_error', reason: 'reset' })
    expect(upstream.requests).toHaveLength(3)
  })

  test('is not replaced when it is a new one', async () => {
    await using upstream = await startUpstream(inTurn(cut(), OK))
    await using line = openLine()

    expect(storyOf(await failureOf(line.send(post(upstream.url))))).toMatchObject({ reason: 'closed' })
    expect(upstream.requests).toHaveLength(1)
  })

  test('is not replaced when a byte had come', async () => {
    await using upstream = await startUpstream(inTurn(OK, [bytes('H'), reset()], OK))
    await using line = openLine()
    await (await line.send(post(upstream.url))).text(10)

    await failureOf(line.send(post(upstream.url)))

    expect(upstream.requests).toHaveLength(2)
  })

  test('is replaced although many others are idle and as dead', async () => {
    const door = gate()
    await using upstream = await startUpstream(({ index }) => (index < 6 ? [door, OK] : index === 6 ? reset() : OK))
    await using line = openLine()
    const calls = Array.from({ length: 6 }, () => line.send(post(upstream.url)).then(answer => answer.text(10)))
    await upstream.received(6)
    door.open()
    await Promise.all(calls)

    expect(await (await line.send(post(upstream.url))).text(10)).toBe('ok')
    expect(upstream.connections).toBe(7)
  })

  const GOODBYE = 'HTTP/1.1 408 Request Timeout\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlate'

  test.each([
    ['end comes', 'content-length: 2\r\n\r\nok', ''],
    ['last words come', 'content-length: 2\r\n\r\nok', GOODBYE],
    ['last words come behind chunks', 'transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', GOODBYE],
  ])('whose %s between the taking of it and the writing', async (_, answer, words) => {
    await using server = openEnds(`HTTP/1.1 200 OK\r\n${answer}`)
    await using bell = openEnds('')
    await using line = openLine()
    await (await line.send(post(server.url))).text(10)
    const rung = Promise.withResolvers<Promise<string>>()
    const send = async () => (await line.send(post(server.url))).text(10)
    const socket = { data: () => rung.resolve(send()) }
    await Bun.connect({ hostname: '127.0.0.1', port: bell.port, socket })
    await until(() => bell.ends.length === 1)

    // The loop finds both at once, the bell first.
    bell.ends[0]?.write('.')
    server.ends[0]?.end(words)

    expect(await await rung.promise).toBe('ok')
    expect(server.ends).toHaveLength(2)
  })
})

/** A server that says the same to all that it hears, with its ends of the connections. */
function openEnds(answer: string) {
  const ends: Bun.Socket[] = []
  const listener = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: { open: socket => void ends.push(socket), data: socket => void socket.write(answer) },
  })
  return {
    ends,
    port: listener.port,
    url: `http://127.0.0.1:${listener.port}`,
    [Symbol.asyncDispose]: async () => listener.stop(true),
  }
}

describe('close', () => {
  test('closes what is idle and fails what is under way', async () => {
    await using upstream = await startUpstream(
      inTurn(OK, hang(), [head(200, { 'content-length': '9' }), bytes('a'), hang()]),
    )
    await using line = openLine()
    await (await line.send(post(upstream.url))).text(10)
    const waiting = failureOf(line.send(post(upstream.url)))
    await upstream.received(2)
    const reading = failureOf((await line.send(post(upstream.url))).text(10))

    line.sockets.close()

    expect([(await waiting).code, (await reading).code]).toEqual(['upstream_error', 'upstream_error'])
    await upstream.allClosed()
    expect((await failureOf(line.send(post(upstream.url)))).code).toBe('upstream_error')
    expect(upstream.requests).toHaveLength(3)
  })
})

test('origins to which no connection is left are forgotten', async () => {
  await using line = openLine()
  // Each origin has one set of its connections.
  const sets = () => heapStats().objectTypeCounts.Set ?? 0
  const before = sets()
  // Nobody listens there.
  const urls = Array.from({ length: 2500 }, (_, n) => `http://127.1.${n >> 8}.${n & 255}:1/`)
  for (const url of urls) await failureOf(line.send(post(url)))
  // What the last turn held is let go in the next.
  await Bun.sleep(0)
  Bun.gc(true)

  expect(sets() - before).toBeLessThan(1500)
  expect(line.sockets.counts()).toEqual({ open: 0, idle: 0 })
})
