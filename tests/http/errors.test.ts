import { describe, expect, test } from 'bun:test'
import { type Code, ERRORS, GatewayError } from '#core/errors.ts'
import { errorResponse } from '#http/errors.ts'
import type { Exchange } from '#http/exchange.ts'
import { errorBody } from '#wire/errors.ts'
import { edgeOf, errorOf } from './edge.ts'

function written(error: GatewayError) {
  const record = { outcome: 'ok', code: null, error: null }
  const exchange = { request: new Request('http://localhost/'), headers: {}, record } as unknown as Exchange
  return { response: errorResponse(exchange, error), record }
}

describe('an error', () => {
  test.each(Object.keys(ERRORS) as Code[])('%s has the four keys, its status and its type', async code => {
    const response = await written(new GatewayError(code, 'What went wrong.')).response
    const body: unknown = await response.json()

    expect(response.status).toBe(ERRORS[code].status)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(body).toEqual({ error: { message: 'What went wrong.', type: ERRORS[code].type, param: null, code } })
    expect(errorBody.strict().safeParse(body).error).toBeUndefined()
  })

  test.each([
    [1, '1', '1'],
    [999.2, '1', '1000'],
    [1000, '1', '1000'],
    [1001, '2', '1001'],
    [0, '1', '1'],
    [59_999.5, '60', '60000'],
  ])('that passes after %p ms says so in seconds and in milliseconds', async (retryAfterMs, seconds, ms) => {
    const { headers } = await written(new GatewayError('rate_limit_exceeded', 'Later.', { retryAfterMs })).response

    expect(headers.get('retry-after')).toBe(seconds)
    expect(headers.get('retry-after-ms')).toBe(ms)
    expect(headers.has('x-should-retry')).toBe(false)
  })

  test('that passes only after more than a minute asks not to be retried, since SDKs would not wait', async () => {
    const { headers } = await written(new GatewayError('rate_limit_exceeded', 'Later.', { retryAfterMs: 60_001 }))
      .response

    expect(headers.get('retry-after')).toBe('61')
    expect(headers.get('x-should-retry')).toBe('false')
  })

  test('asks not to be retried when the gateway has tried everything', async () => {
    const { headers } = await written(new GatewayError('all_targets_failed', 'None left.', { shouldRetry: false }))
      .response

    expect(headers.get('x-should-retry')).toBe('false')
  })

  test('without a time says nothing of one', async () => {
    const { headers } = await written(new GatewayError('invalid_request', 'No.')).response

    for (const name of ['retry-after', 'retry-after-ms', 'x-should-retry']) expect(headers.has(name)).toBe(false)
  })

  test('keeps its private story to itself', async () => {
    const error = new GatewayError('internal_error', 'The gateway failed.', {
      cause: new Error('sk-private at /src/x'),
    })

    expect(await (await written(error).response).text()).not.toContain('private')
  })

  test('with a story that is known already keeps its outcome', () => {
    const { record } = written(new GatewayError('invalid_request', 'No.'))

    expect(record).toMatchObject({ outcome: 'denied', code: 'invalid_request' })
  })
})

describe('through the whole gateway', () => {
  const failing: readonly (readonly [string, string, object])[] = [
    ['invalid_json', '/v1/chat/completions', { method: 'POST', body: '{' }],
    ['invalid_request', '/v1/chat/completions', { method: 'POST', body: {} }],
    ['invalid_request', '/v1/chat/completions', { method: 'POST', body: '[]' }],
    ['invalid_json', '/v1/chat/completions', { method: 'POST', body: '' }],
    [
      'model_not_found',
      '/v1/chat/completions',
      { method: 'POST', body: { model: 'gone', messages: [{ role: 'user', content: 'Hi' }] } },
    ],
    ['model_not_found', '/v1/models/gone', {}],
    ['not_found', '/gone', {}],
    ['method_not_allowed', '/v1/models', { method: 'DELETE' }],
    ['invalid_host', '/v1/models', { headers: { host: 'evil.example' } }],
    ['origin_not_allowed', '/v1/models', { method: 'POST', headers: { origin: 'https://evil.example' } }],
    ['request_too_large', '/v1/chat/completions', { method: 'POST', headers: { 'content-length': '10000001' } }],
    [
      'unsupported_media_type',
      '/v1/chat/completions',
      { method: 'POST', body: '{}', headers: { 'content-encoding': 'zstd' } },
    ],
  ]

  test.each(failing)('%s at %s has the one form and the id of the request', async (code, path, asking) => {
    const edge = await edgeOf()

    const response = await edge.ask(path, asking)

    expect(response.status).toBe(ERRORS[code as Code].status)
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    const body: unknown = await response.json()
    expect(errorBody.strict().safeParse(body).error).toBeUndefined()
    expect(body).toMatchObject({ error: { code } })
  })

  test('every problem of a body is told at once', async () => {
    const edge = await edgeOf()

    const response = await edge.ask('/v1/chat/completions', {
      method: 'POST',
      body: { messages: [], n: 0, top_p: 'x' },
    })

    const { param, details } = await errorOf(response)
    expect(param).toBe('messages')
    expect((details as { path: string }[]).map(({ path }) => path)).toEqual(['messages', 'n', 'top_p'])
  })

  test('a failure of the gateway itself is told without its story, which the log has', async () => {
    const edge = await edgeOf(
      { models: { broken: { endpoint: 'http://127.0.0.1:9' } } },
      {
        transport: async () => {
          throw new Error('the private story')
        },
      },
    )
    const body = { model: 'broken', messages: [{ role: 'user', content: 'Hi' }] }

    const response = await edge.chat({ body })

    expect(response.status).toBeGreaterThanOrEqual(500)
    expect(await response.text()).not.toContain('private')
  })
})
