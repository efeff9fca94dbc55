import { describe, expect, test } from 'bun:test'
import { gunzipSync } from 'node:zlib'
import type { Exchange } from '#http/exchange.ts'
import { json } from '#http/reply.ts'
import { edgeOf } from './edge.ts'

/** Answers with text of so many characters to a client that accepts this. */
async function answer(characters: number, accepts: string | null, vary?: string) {
  const request = new Request('http://localhost/', { headers: accepts === null ? {} : { 'accept-encoding': accepts } })
  const headers: Record<string, string> = vary === undefined ? {} : { vary }
  return json(
    { request, headers, record: { method: request.method } } as unknown as Exchange,
    `"${'a'.repeat(characters - 2)}"`,
  )
}

describe('a JSON answer', () => {
  test('over 1 kB is compressed for a client that accepts gzip', async () => {
    const response = await answer(5000, 'gzip')

    const bytes = new Uint8Array(await response.arrayBuffer())
    expect(response.headers.get('content-encoding')).toBe('gzip')
    expect(response.headers.get('vary')).toBe('Accept-Encoding')
    expect(bytes.length).toBeLessThan(200)
    expect(gunzipSync(bytes).toString()).toHaveLength(5000)
  })

  test.each([
    'gzip',
    'GZIP',
    'br, gzip',
    'gzip;q=0.5',
    'gzip;q=1.0, identity;q=0',
    'gzip ; q=0.001',
    'deflate, gzip;q=0.8, *;q=0.1',
    'x-gzip, gzip',
  ])('is compressed for a client that accepts %j', async accepts => {
    expect((await answer(5000, accepts)).headers.get('content-encoding')).toBe('gzip')
  })

  test.each([
    null,
    '',
    'identity',
    'br',
    'gzip;q=0',
    'gzip; q=0',
    'gzip;q=0.0',
    'gzip;q=0.000',
    'gzip;q=0, br',
    'br, GZIP;Q=0',
    'not-gzip',
    'gzipped',
  ])('is plain for a client that accepts %j', async accepts => {
    const response = await answer(5000, accepts)

    expect(response.headers.has('content-encoding')).toBe(false)
    expect(await response.text()).toHaveLength(5000)
  })

  test('of at most 1 kB is sent uncompressed', async () => {
    expect((await answer(1024, 'gzip')).headers.has('content-encoding')).toBe(false)
    expect((await answer(1025, 'gzip')).headers.has('content-encoding')).toBe(true)
  })

  test('keeps what it varies by already', async () => {
    expect((await answer(5000, 'gzip', 'Origin')).headers.get('vary')).toBe('Origin, Accept-Encoding')
  })
})

test('a stream is never compressed, cached or held back', async () => {
  const edge = await edgeOf({}, { clock: undefined })
  const body = { model: 'citadel-demo', stream: true, messages: [{ role: 'user', content: 'Hi' }] }

  const { headers, body: stream } = await edge.chat({ body, headers: { 'accept-encoding': 'gzip' } })

  expect(headers.has('content-encoding')).toBe(false)
  expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(headers.get('cache-control')).toBe('no-cache, no-transform')
  expect(headers.get('x-accel-buffering')).toBe('no')
  await stream?.cancel()
})

test('a stream has no pings where the heartbeat is 0', async () => {
  const edge = await edgeOf({ streams: { heartbeat: 0 } }, { clock: undefined })
  const body = { model: 'citadel-demo', stream: true, messages: [{ role: 'user', content: 'Hi' }] }

  const text = await (await edge.chat({ body })).text()

  expect(text).not.toContain(': ping')
  expect(text).toEndWith('data: [DONE]\n\n')
})

test.each(['/openapi.json', '/schema.json', '/metrics', '/docs'])(
  'the answer to GET %s is sent compressed where the client accepts that',
  async path => {
    const edge = await edgeOf()

    const { headers } = await edge.ask(path, { headers: { 'accept-encoding': 'gzip' } })

    expect(headers.get('content-encoding')).toBe('gzip')
    expect(headers.get('vary')).toContain('Accept-Encoding')
  },
)
