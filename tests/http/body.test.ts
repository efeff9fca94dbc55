import { describe, expect, test } from 'bun:test'
import { deflateSync, gzipSync } from 'node:zlib'
import { readBody } from '#http/body.ts'
import type { Exchange } from '#http/exchange.ts'
import { fakeClock } from '#tests/support/clock.ts'

const LARGE = 65_536
const MAX = 1_000_000

/** Reads a body that comes in these pieces. Without a `length` nobody has said how long it is. */
function read(
  pieces: readonly Uint8Array<ArrayBuffer>[],
  { length, encoding }: { length?: number; encoding?: string } = {},
) {
  const clock = fakeClock()
  const headers = new Headers()
  if (length !== undefined) headers.set('content-length', String(length))
  if (encoding !== undefined) headers.set('content-encoding', encoding)
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece)
      controller.close()
    },
  })
  const heard = new Set<unknown>()
  // All that it reads of an exchange.
  const exchange = {
    request: new Request('http://localhost/', { method: 'POST', headers, body: pieces.length === 0 ? null : body }),
    edge: { bodyBytesMax: MAX, bodyTimeoutMs: 30_000, keepAliveSeconds: 65 },
    scope: {
      onEnd(run: unknown) {
        heard.add(run)
        return () => heard.delete(run)
      },
    },
    text: null,
  } as unknown as Exchange
  const asked: number[] = []
  const room = {
    admit(bytes: number) {
      asked.push(bytes)
      return null
    },
    refusal: () => null,
  }
  return { text: readBody(exchange, clock, room), asked, left: () => [clock.pending, heard.size] }
}

/** Bytes that no packing makes fewer. */
function noise(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count)
  let seed = 1
  for (let index = 0; index < count; index++) {
    seed = (seed * 48_271) % 2_147_483_647
    bytes[index] = 32 + ((seed >> 8) % 95)
  }
  return bytes
}

const codeOf = (reading: Promise<string>) =>
  reading.then(
    text => text.length,
    thrown => thrown.code,
  )

test('a letter whose bytes come apart is the same letter', async () => {
  const text = '{"a":"é€🙂"}'
  const pieces = [...new TextEncoder().encode(text)].map(byte => Uint8Array.of(byte))

  expect(await read(pieces).text).toBe(text)
})

test('a request without a body has an empty one', async () => {
  expect(await read([]).text).toBe('')
})

describe('there has to be room', () => {
  test.each([
    ['for a body that says how long it is', [new Uint8Array(LARGE)], { length: LARGE }, [LARGE]],
    ['for no small one', [new Uint8Array(LARGE - 1)], { length: LARGE - 1 }, []],
    ['for each large part of one that does not', Array(5).fill(new Uint8Array(40_000)), {}, [80_000, 80_000]],
    ['from the very size on', [new Uint8Array(LARGE)], {}, [LARGE]],
  ] as const)('%s', async (_, pieces, told, expected) => {
    const { text, asked } = read(pieces, told)
    await text

    expect(asked).toEqual([...expected])
  })

  test('for what a packed body is more than it says, and for nothing twice', async () => {
    const [packed, small] = [gzipSync(noise(200_000)), gzipSync(new Uint8Array(200_000))]
    const dense = read([packed], { length: packed.length, encoding: 'gzip' })
    const hollow = read([small], { length: small.length, encoding: 'gzip' })
    await Promise.all([dense.text, hollow.text])

    const sum = (amounts: readonly number[]) => amounts.reduce((all, one) => all + one, 0)
    expect(dense.asked[0]).toBe(packed.length)
    expect(sum(dense.asked)).toBeLessThanOrEqual(200_000)
    expect(sum(hollow.asked)).toBeGreaterThan(200_000 - small.length - LARGE)
    expect(sum(hollow.asked)).toBeLessThanOrEqual(200_000 - small.length)
  })
})

test.each([
  ['in pieces', (bytes: Uint8Array<ArrayBuffer>) => read([bytes.subarray(0, 10), bytes.subarray(10)])],
  ['packed', (bytes: Uint8Array<ArrayBuffer>) => read([deflateSync(bytes)], { encoding: 'deflate' })],
])('a body %s may be as large as the limit, and no byte larger', async (_, send) => {
  const [most, more] = [MAX, MAX + 1].map(bytes => codeOf(send(new Uint8Array(bytes)).text))

  expect(await Promise.all([most, more])).toEqual([MAX, 'request_too_large'])
})

test.each([
  ['was read', [Uint8Array.of(32)], {}],
  ['could not be read', [Uint8Array.of(32)], { encoding: 'gzip' }],
])('nothing waits any more for a body that %s', async (_, pieces, told) => {
  const { text, left } = read(pieces, told)
  const before = left()
  await codeOf(text)

  expect([before, left()]).toEqual([
    [1, 1],
    [0, 0],
  ])
})
