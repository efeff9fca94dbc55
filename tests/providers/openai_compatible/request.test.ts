import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import type { Server } from '#core/servers.ts'
import { normalizeBaseUrl, openaiCompatible } from '#providers/openai_compatible/index.ts'
import { call, server, target } from '#tests/support/calls.ts'

/** Encodes a body as it came; `model` is the upstream's. */
function encode(source: string, more: Partial<Call> = {}, model = 'm') {
  const body = JSON.parse(source)
  const asked = call({ body, source, stream: body.stream === true, ...more })
  return openaiCompatible.encode(asked, target('a', { upstreamModel: model }), 'sk-test')
}

function headersOf(more: {
  readonly call?: Partial<Call>
  readonly server?: Partial<Server>
  readonly secret?: string | null
}) {
  const to = target('a', { server: server('a', more.server) })
  return openaiCompatible.encode(call(more.call), to, more.secret ?? null).headers
}

describe('the request', () => {
  test.each([
    ['chat', 'http://a.test/v1/chat/completions'],
    ['completions', 'http://a.test/v1/completions'],
    ['embeddings', 'http://a.test/v1/embeddings'],
  ] as const)('for %s goes to %s', (endpoint, url) => {
    expect(openaiCompatible.encode(call({ endpoint }), target('a'), null)).toMatchObject({ method: 'POST', url })
  })

  test('keeps the query of an address behind the path', () => {
    const azure = server('a', { baseUrl: 'https://a.test/openai/deployments/x?api-version=2024-06-01' })

    const { url } = openaiCompatible.encode(call(), target('a', { server: azure }), null)

    expect(url).toBe('https://a.test/openai/deployments/x/chat/completions?api-version=2024-06-01')
  })

  test('carries the secret, and no authorization without one', () => {
    expect(headersOf({ secret: 'sk-1' }).authorization).toBe('Bearer sk-1')
    expect(headersOf({})).not.toHaveProperty('authorization')
  })

  test('asks for plain bytes of the right kind', () => {
    expect(headersOf({ call: { stream: false } })).toEqual({
      accept: 'application/json',
      'accept-encoding': 'identity',
      'content-type': 'application/json',
    })
    expect(headersOf({ call: { stream: true } }).accept).toStartWith('text/event-stream')
  })

  test('passes the trace of the caller on', () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

    expect(headersOf({ call: { traceparent } }).traceparent).toBe(traceparent)
  })

  test('carries the configured headers, which win whatever their case', () => {
    const headers = headersOf({
      server: { headers: { 'X-Title': 'Citadel', Authorization: 'Custom 1' } },
      secret: 'sk-1',
    })

    expect(headers).toMatchObject({ 'x-title': 'Citadel', authorization: 'Custom 1' })
    expect(headers).not.toHaveProperty('Authorization')
  })
})

describe('the body', () => {
  test('goes on byte for byte when nothing has to change', () => {
    const source = '{ "model":"m",\n "messages":[], "seed": 12345678901234567890, "zzz": {"a":[1]} }'

    expect(encode(source).body?.join('')).toBe(source)
  })

  test('gets the name that the server knows', () => {
    expect(encode('{"model":"chat", "messages":[]}', {}, 'llama "3"').body?.join('')).toBe(
      '{"model":"llama \\"3\\"", "messages":[]}',
    )
    expect(encode('{"messages":[]}').body?.join('')).toBe('{"messages":[],"model":"m"}')
  })

  test("loses the gateway's own fields", () => {
    const source = '{"cache":false,"model":"m","fallbacks":["x"],"messages":[{"cache":1}]}'

    expect(encode(source).body?.join('')).toBe('{"model":"m","messages":[{"cache":1}]}')
  })

  test.each([
    ['{"model":"m","stream":true}', '{"model":"m","stream":true,"stream_options":{"include_usage":true}}'],
    [
      '{"model":"m","stream":true,"stream_options":null}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    ],
    [
      '{"model":"m","stream":true,"stream_options":{"include_usage":false,"include_obfuscation":false}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}',
    ],
    [
      '{"model":"m","stream":true,"stream_options":{"include_usage" : true}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    ],
    [
      '{"model":"m","stream":true,"stream_options":{"include_usage":false,"include_usage":true}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    ],
    ['{"model":"m","stream":false}', '{"model":"m","stream":false}'],
  ])('of a stream always asks for usage: %s', (source, expected) => {
    expect(encode(source).body?.join('')).toBe(expected)
  })

  test.each([
    ['a member that stands twice', '{"model":"evil","model":"chat","messages":[]}', '{"model":"m","messages":[]}'],
    ['a name with an escape', '{"mod\\u0065l":"chat","messages":[]}', '{"model":"m","messages":[]}'],
    ['an escape inside', '{"model":"m","messages":[{"c\\u006f":1}]}', '{"model":"m","messages":[{"co":1}]}'],
  ])('is written anew with %s, which servers may read otherwise', (_, source, expected) => {
    expect(encode(source).body?.join('')).toBe(expected)
  })

  test('is written anew when the bytes may not go on', () => {
    const body = JSON.parse('{"model":"chat","a\\u0062":1,"cache":true,"stream":true}')

    const { body: written } = openaiCompatible.encode(call({ body, source: null }), target('a'), null)

    expect(JSON.parse(written?.join('') ?? '')).toEqual({
      model: 'm',
      ab: 1,
      stream: true,
      stream_options: { include_usage: true },
    })
  })

  test('is not changed for the next attempt', () => {
    const body = Object.freeze({ model: 'chat', messages: [], fallbacks: ['x'] })
    const asked = call({ body, source: null })

    openaiCompatible.encode(asked, target('a'), null)

    expect(asked.body).toEqual({ model: 'chat', messages: [], fallbacks: ['x'] })
  })
})

test.each([
  ['http://h:8000', 'http://h:8000/v1'],
  ['http://h:8000/', 'http://h:8000/v1'],
  [' http://h:8000/v1/ ', 'http://h:8000/v1'],
  ['http://h:8000/v1', 'http://h:8000/v1'],
  ['https://h/api/v1//', 'https://h/api/v1'],
  ['https://h/v1beta/openai/', 'https://h/v1beta/openai'],
  ['http://h/v1/chat/completions', 'http://h/v1'],
  ['http://h/v1/embeddings/', 'http://h/v1'],
  ['http://[::1]:8000', 'http://[::1]:8000/v1'],
  ['https://h/openai/deployments/x/?api-version=1', 'https://h/openai/deployments/x?api-version=1'],
  ['https://h?api-version=1', 'https://h/v1?api-version=1'],
])('the address %j becomes %j', (url, expected) => {
  expect(normalizeBaseUrl(url)).toBe(expected)
  expect(normalizeBaseUrl(expected)).toBe(expected)
})
