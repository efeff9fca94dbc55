import { describe, expect, test } from 'bun:test'
import { fromAnthropicErrorBody, fromAnthropicErrorResponse } from '#providers/anthropic/error.ts'

const NOW = Date.parse('2026-02-17T23:44:00Z')

function errorOf(status: number, error: object, headers: Readonly<Record<string, string>> = {}) {
  const head = { status, header: (name: string) => headers[name] ?? null }
  return fromAnthropicErrorResponse(head, JSON.stringify({ type: 'error', error, request_id: 'req_1' }), NOW)
}

describe('an answer outside 2xx', () => {
  test.each([
    [400, 'invalid_request_error', 'messages.0: bad', 'invalid_request'],
    [400, 'invalid_request_error', 'prompt is too long: 3 tokens > 2 maximum', 'context_length_exceeded'],
    [
      400,
      'invalid_request_error',
      'input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000',
      'context_length_exceeded',
    ],
    [400, 'invalid_request_error', 'Output blocked by content filtering policy', 'content_policy_violation'],
    [400, 'invalid_request_error', 'Your credit balance is too low to access the API', 'upstream_auth_failed'],
    [
      400,
      'invalid_request_error',
      'You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC.',
      'upstream_auth_failed',
    ],
    [401, 'authentication_error', 'invalid x-api-key', 'upstream_auth_failed'],
    [403, 'permission_error', 'not yours', 'upstream_auth_failed'],
    [404, 'not_found_error', 'model: claude-9', 'model_not_found'],
    [413, 'request_too_large', 'too large', 'request_too_large'],
    [429, 'rate_limit_error', 'slow down', 'provider_rate_limited'],
    [500, 'api_error', 'oh', 'upstream_error'],
    [529, 'overloaded_error', 'Overloaded', 'upstream_error'],
  ])('%d %s: %s is %s', (status, type, message, code) => {
    expect(errorOf(status, { type, message }).code).toBe(code as never)
  })

  test('of another shape is read as every other server’s', () => {
    const head = { status: 502, header: () => null }

    expect(fromAnthropicErrorResponse(head, '<html>Bad gateway</html>', NOW)).toMatchObject({ code: 'upstream_error' })
  })

  test.each([
    ['as it is said', { 'retry-after': '7' }, 7000],
    [
      'as the limit that is used up longest begins anew',
      {
        'anthropic-ratelimit-requests-remaining': '0',
        'anthropic-ratelimit-requests-reset': '2026-02-17T23:44:12Z',
        'anthropic-ratelimit-output-tokens-remaining': '0',
        'anthropic-ratelimit-output-tokens-reset': '2026-02-17T23:44:05Z',
        'anthropic-ratelimit-tokens-remaining': '5',
        'anthropic-ratelimit-tokens-reset': '2026-02-17T23:45:00Z',
      },
      12_000,
    ],
    ['not at all', {}, null],
  ])('gives the caller the wait %s', (_, headers, wait) => {
    expect(errorOf(429, { type: 'rate_limit_error', message: 'slow' }, headers).retryAfterMs).toBe(wait)
  })

  test('keeps the wait of an overloaded server', () => {
    expect(errorOf(529, { type: 'overloaded_error', message: 'Overloaded' }, { 'retry-after': '3' })).toMatchObject({
      retryAfterMs: 3000,
      retryable: true,
    })
  })
})

test.each([
  ['overloaded_error', 'upstream_error'],
  ['rate_limit_error', 'provider_rate_limited'],
  ['authentication_error', 'upstream_auth_failed'],
  ['invalid_request_error', 'invalid_request'],
  ['timeout_error', 'upstream_error'],
  ['api_error', 'upstream_error'],
  ['a_new_error', 'upstream_error'],
])('an error under HTTP 200 is told by its type: %s is %s', (type, code) => {
  expect(fromAnthropicErrorBody({ type: 'error', error: { type, message: 'oh' } }).code).toBe(code as never)
})
