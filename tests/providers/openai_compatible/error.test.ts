import { describe, expect, test } from 'bun:test'
import { fromErrorResponse, readFailure } from '#providers/openai_compatible/error.ts'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import type { Head } from '#providers/provider.ts'

function head(status: number, headers: Readonly<Record<string, string>> = {}): Head {
  return { status, header: name => headers[name] ?? null }
}

describe('what a server says is found in', () => {
  const all = { message: 'm', type: 't', param: 'p', code: 'c' }
  const none = { message: '', type: null, param: null, code: null }

  test.each<[string, unknown, object]>([
    ["OpenAI's shape", { error: all }, all],
    ['null fields', { error: { message: 'm', type: null, param: null, code: null } }, { ...none, message: 'm' }],
    ['a numeric code', { error: { message: 'm', code: 400 } }, { ...none, message: 'm', code: '400' }],
    ['a string', { error: 'm' }, { ...none, message: 'm' }],
    ["xAI's shape", { code: 'invalid-argument', error: 'm' }, { ...none, message: 'm', code: 'invalid-argument' }],
    ["vLLM's shape", { object: 'error', ...all }, all],
    ["FastAPI's sentence", { detail: 'm' }, { ...none, message: 'm' }],
    [
      "FastAPI's list",
      { detail: [{ loc: ['body', 'messages', 0], msg: 'field required', type: 'missing' }, { msg: 'b' }] },
      { ...none, message: 'messages.0: field required; b' },
    ],
    ['a bare message', { message: 'm' }, { ...none, message: 'm' }],
    ['a message that is an object', { error: { message: { detail: 'm' } } }, { ...none, message: '{"detail":"m"}' }],
    [
      "OpenRouter's wrapping",
      { error: { message: 'Provider returned error', code: 400, metadata: { raw: '{"error":{"message":"inner"}}' } } },
      { ...none, message: 'inner', code: '400' },
    ],
    [
      "OpenRouter's plain wrapping",
      { error: { message: 'Provider returned error', metadata: { raw: 'inner' } } },
      { ...none, message: 'inner' },
    ],
    ['a bare text', 'm', { ...none, message: 'm' }],
    ['nothing', undefined, none],
    ["Google's list of one", [{ error: all }], all],
    ['a list', [], none],
  ])('%s', (_, body, failure) => {
    expect(readFailure(body)).toEqual(failure as never)
  })
})

test.each<[number, string, string]>([
  [400, '{"error":{"message":"bad"}}', 'invalid_request'],
  [400, '<html>', 'invalid_request'],
  [400, '', 'invalid_request'],
  [400, '[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]', 'upstream_auth_failed'],
  [401, '', 'upstream_auth_failed'],
  [402, '{"error":{"message":"Insufficient credits","code":402}}', 'upstream_auth_failed'],
  [403, '{"detail":"Forbidden"}', 'upstream_auth_failed'],
  [404, '{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}', 'model_not_found'],
  [404, '{"object":"error","message":"The model `x` does not exist.","code":404}', 'model_not_found'],
  [404, '{"detail":"Not Found"}', 'upstream_invalid_response'],
  [404, '404 page not found', 'upstream_invalid_response'],
  [404, '<html>', 'upstream_invalid_response'],
  [405, '{"detail":"Method Not Allowed"}', 'upstream_invalid_response'],
  [408, '', 'upstream_error'],
  [413, '{"error":{"message":"too big"}}', 'request_too_large'],
  [422, '{"detail":[{"loc":["body","messages"],"msg":"field required"}]}', 'invalid_request'],
  [429, '{"error":{"message":"slow down"}}', 'provider_rate_limited'],
  [429, '{"error":{"message":"m","code":"insufficient_quota"}}', 'insufficient_quota'],
  [500, '<html>', 'upstream_error'],
  [503, '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}', 'upstream_error'],
  [529, '', 'upstream_error'],
  [302, '', 'upstream_invalid_response'],
])('HTTP %i with %s is %s', (status, body, code) => {
  expect(openaiCompatible.decodeError(head(status), body)).toMatchObject({ code })
})

test("keeps a server's words for the caller's own mistakes only", () => {
  const words = (status: number) => fromErrorResponse(head(status), '{"error":{"message":"the words"}}').message

  expect(words(400)).toBe('the words')
  expect(words(404)).toBe('the words')
  for (const status of [401, 403, 429, 500]) expect(words(status)).not.toContain('the words')
})

test('takes the wait from the headers, also as a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  const wait = (headers: Record<string, string>) => fromErrorResponse(head(429, headers), '', now).retryAfterMs

  expect(wait({ 'retry-after': '3' })).toBe(3000)
  expect(wait({ 'retry-after': 'Thu, 01 Jan 2026 00:00:07 GMT' })).toBe(7000)
  expect(wait({})).toBeNull()
})
