import { describe, expect, test } from 'bun:test'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { fastest } from '#tests/support/fastest.ts'
import {
  bytes,
  chunk,
  cut,
  gate,
  hang,
  head,
  json,
  lastChunk,
  reset,
  sse,
  startUpstream,
} from '#tests/support/upstream.ts'
import { drain, failureOf, openLine, post, storyOf, until } from './harness.ts'

const MEGABYTE = 1024 * 1024
const chunked = head(200, { 'transfer-encoding': 'chunked' })

describe('a stream', () => {
  test('gives what arrived together in one piece', async () => {
    const door = gate()
    await using upstream = await startUpstream([
      chunked,
      door,
      bytes('2\r\nab\r\n3;x\r\ncde\r\n1\r\nf\r\n'),
      lastChunk(),
    ])
    await using line = openLine()
    const answer = await line.send(post(upstream.url))
    const piece = answer.read()
    door.open()

    expect(Buffer.from((await piece) ?? []).toString()).toBe('abcdef')
    expect(await answer.read()).toBeNull()
    expect(await answer.read()).toBeNull()
  })

  test('is the same however it is cut', async () => {
    const events = Array.from({ length: 12 }, (_, n) => `{"n":${n},"é":"€"}`)
    await using upstream = await startUpstream(sse(events, { split: 'every-byte' }))
    await using line = openLine()

    const text = await drain(await line.send(post(upstream.url)))

    expect(text).toBe(events.map(event => `data: ${event}\n\n`).join(''))
    expect(line.sockets.counts()).toEqual({ open: 1, idle: 1 })
  })

  test('that breaks off gives what came before', async () => {
    await using upstream = await startUpstream([chunked, chunk('first'), reset()])
    await using line = openLine()
    const answer = await line.send(post(upstream.url))
    await until(() => line.sockets.counts().open === 0)

    expect(Buffer.from((await answer.read()) ?? []).toString()).toBe('first')
    expect(storyOf(await failureOf(answer.read()))).toMatchObject({ code: 'upstream_error', reason: 'reset' })
    expect(storyOf(await failureOf(answer.read()))).toMatchObject({ code: 'upstream_error' })
  })

  test('that is cut off fails as truncated', async () => {
    await using upstream = await startUpstream([chunked, chunk('first'), cut()])
    await using line = openLine()

    const failure = await failureOf(drain(await line.send(post(upstream.url))))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_error', reason: 'truncated' })
  })

  test('nobody reads fills no memory, and comes whole in the end', async () => {
    const size = 96 * MEGABYTE
    const blob = bytes(Buffer.alloc(MEGABYTE, 'x'))
    await using upstream = await startUpstream([head(200, { 'content-length': String(size) }), ...Array(96).fill(blob)])
    await using line = openLine()
    const answer = await line.send(post(upstream.url))
    const request = await upstream.received(1)

    let total = 0
    let largest = 0
    async function read(max: number): Promise<void> {
      while (total < max) {
        const piece = await answer.read()
        if (piece === null) return
        total += piece.length
        largest = Math.max(largest, piece.length)
      }
    }
    /** The reader rests: what has left the server lies in the kernel's buffers, but for what this process has taken. */
    async function stands(): Promise<number> {
      let before = -1
      while (before !== request.written) {
        before = request.written
        await new Promise(resolve => setTimeout(resolve, 250))
      }
      return before
    }

    // The kernel's buffers for one connection grow to 36 MB.
    expect(await stands()).toBeLessThan(size)
    await read(20 * MEGABYTE)
    expect(await stands()).toBeLessThan(size)
    await read(size)
    expect(await answer.read()).toBeNull()
    expect(total).toBe(size)
    expect(largest).toBeLessThanOrEqual(MEGABYTE / 2)
    expect(line.sockets.counts()).toEqual({ open: 1, idle: 1 })
  })

  async function endsAfterMs(): Promise<number> {
    const blob = bytes(Buffer.alloc(MEGABYTE, 'x'))
    await using upstream = await startUpstream([head(200), ...Array(64).fill(blob), hang()])
    await using line = openLine()
    const answer = await line.send(post(upstream.url))
    await new Promise(resolve => setTimeout(resolve, 100))
    const closedAt = performance.now()

    answer.close()

    const request = await upstream.received(1)
    return (await request.closed) - closedAt
  }

  test('that waits for its reader ends at once when it is closed', async () => {
    expect(await fastest(100, endsAfterMs)).toBeLessThan(100)
  })
})

describe('a compressed answer', () => {
  const text = JSON.stringify({ text: 'é'.repeat(5000) })

  test.each([
    ['gzip', gzipSync(text)],
    ['x-gzip', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['br', brotliCompressSync(text)],
    ['zstd', zstdCompressSync(text)],
    ['identity', Buffer.from(text)],
  ])('is decoded: %s', async (encoding, body) => {
    await using upstream = await startUpstream([
      head(200, { 'content-encoding': encoding, 'content-length': String(body.length) }),
      bytes(body.subarray(0, 11)),
      bytes(body.subarray(11)),
    ])
    await using line = openLine()

    const answer = await line.send(post(upstream.url))
    expect(answer.head.status).toBe(200)
    expect(await answer.text(100_000)).toBe(text)
    expect(await drain(await line.send(post(upstream.url)))).toBe(text)
    expect(upstream.connections).toBe(1)
  })

  test.each([
    ['an encoding that nobody knows', 'compress', Buffer.from(text)],
    ['two encodings', 'gzip, gzip', gzipSync(gzipSync(text))],
    ['what is not compressed', 'gzip', Buffer.from(text)],
    ['half of it', 'gzip', gzipSync(text).subarray(0, 40)],
  ])('is refused: %s', async (_, encoding, body) => {
    await using upstream = await startUpstream([
      head(200, { 'content-encoding': encoding, 'content-length': String(body.length) }),
      bytes(body),
    ])
    await using line = openLine()

    const failure = await failureOf(line.send(post(upstream.url)).then(answer => answer.text(100_000)))

    expect(failure.code).toBe('upstream_invalid_response')
  })

  test('that breaks off fails with the connection', async () => {
    const body = gzipSync(text)
    await using upstream = await startUpstream([
      head(200, { 'content-encoding': 'gzip', 'content-length': String(body.length) }),
      bytes(body.subarray(0, 20)),
      cut(),
    ])
    await using line = openLine()

    const failure = await failureOf(line.send(post(upstream.url)).then(answer => answer.text(100_000)))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_error', reason: 'truncated' })
  })

  test('that grows without end is stopped at its limit', async () => {
    const bomb = gzipSync(Buffer.alloc(256 * MEGABYTE))
    await using upstream = await startUpstream([
      head(200, { 'content-encoding': 'gzip', 'content-length': String(bomb.length) }),
      bytes(bomb),
    ])
    await using line = openLine()
    const before = process.memoryUsage.rss()

    const failure = await failureOf(line.send(post(upstream.url)).then(answer => answer.text(MEGABYTE)))

    expect(failure.code).toBe('upstream_invalid_response')
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * MEGABYTE)
  })

  test('that is closed early closes its connection', async () => {
    await using upstream = await startUpstream([
      head(200, { 'content-encoding': 'gzip', 'content-length': '999' }),
      bytes(gzipSync(text).subarray(0, 20)),
      hang(),
    ])
    await using line = openLine()

    const answer = await line.send(post(upstream.url))
    answer.close()

    await upstream.allClosed()
  })

  test('is the fault of nobody when the status has no body', async () => {
    await using upstream = await startUpstream(head(204, { 'content-encoding': 'gzip' }))
    await using line = openLine()

    expect(await (await line.send(post(upstream.url))).text(10)).toBe('')
  })
})

describe('a text', () => {
  test('larger than its limit by its own words is not waited for', async () => {
    await using upstream = await startUpstream([head(200, { 'content-length': '1000' }), hang()])
    await using line = openLine()

    const failure = await failureOf(line.send(post(upstream.url)).then(answer => answer.text(999)))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_invalid_response', reason: 'body over 999 bytes' })
    await upstream.allClosed()
  })

  test('is not cut where its limit is', async () => {
    await using upstream = await startUpstream(json(200, 'x'.repeat(1000)))
    await using line = openLine()

    expect(await (await line.send(post(upstream.url))).text(1000)).toHaveLength(1000)
  })

  test('may take longer than the idle clock when it goes on', async () => {
    const doors = [gate(), gate(), gate()]
    await using upstream = await startUpstream([chunked, ...doors.flatMap(door => [door, chunk('x')]), lastChunk()])
    await using line = openLine()
    const text = line.send(post(upstream.url), { idle: 100 }).then(answer => answer.text(100))

    for (const door of doors) {
      await new Promise(resolve => setTimeout(resolve, 60))
      door.open()
    }

    expect(await text).toBe('xxx')
  })
})
