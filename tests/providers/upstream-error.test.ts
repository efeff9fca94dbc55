import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Head } from '#providers/provider.ts'
import { invalidAnswer, retryAfterOf, toUpstreamError } from '#providers/upstream-error.ts'

const failure = (message: string, more: object = {}) => ({ message, code: null, type: null, param: null, ...more })
const head = (headers: Readonly<Record<string, string>>): Head => ({
  status: 429,
  header: name => headers[name] ?? null,
})

describe('a prompt that is too long', () => {
  test.each([
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    'Your input exceeds the context window of this model.',
    'prompt is too long: 210000 tokens > 200000 maximum',
    'the request exceeds the available context size. try increasing the context size',
    "the model's context length is only 4096 tokens",
    'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
    'the input length exceeds the context length',
    "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
    'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 8740 `inputs` tokens',
    'Input validation error: `inputs` must have less than 1024 tokens. Given: 1168',
    'The decoder prompt (length 21535) is longer than the maximum model length of 16384.',
  ])('is recognised by the message: %s', message => {
    expect(toUpstreamError(400, failure(message)).code).toBe('context_length_exceeded')
  })

  test('is recognised by its code alone', () => {
    expect(toUpstreamError(400, failure('m', { code: 'context_length_exceeded' })).code).toBe('context_length_exceeded')
  })

  test.each([
    "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64.",
    "Invalid 'user': too long",
  ])('is not meant by the message: %s', message => {
    expect(toUpstreamError(400, failure(message)).code).toBe('invalid_request')
  })
})

test.each<[number, object, string, boolean]>([
  [400, failure('m', { code: 'content_filter' }), 'content_policy_violation', false],
  [400, failure('m', { code: 'unsupported_parameter', param: 'top_k' }), 'unsupported_parameter', false],
  [400, failure('Incorrect API key provided'), 'upstream_auth_failed', true],
  [400, failure('API key not valid. Please pass a valid API key.'), 'upstream_auth_failed', true],
  [400, failure('API key expired. Please renew the API key.'), 'upstream_auth_failed', true],
  [400, failure('m', { code: 'invalid_api_key' }), 'upstream_auth_failed', true],
  [
    400,
    failure(
      "[{'msg': 'Input should be a list', 'input': [{'role': 'user', 'content': 'Why is it an invalid API key?'}]}]",
    ),
    'invalid_request',
    false,
  ],
  [403, failure('m requires moderation on p. Your input was flagged for "x".'), 'content_policy_violation', false],
  [403, failure('Forbidden'), 'upstream_auth_failed', true],
  [404, failure('m'), 'model_not_found', false],
  [408, failure('m'), 'upstream_error', true],
  [429, failure('m'), 'provider_rate_limited', true],
  [
    429,
    failure('You exceeded your current quota, please check your plan and billing details.'),
    'insufficient_quota',
    true,
  ],
  [
    429,
    failure(
      'Rate limit reached for model `m` on tokens per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing',
      { type: 'tokens', code: 'rate_limit_exceeded' },
    ),
    'provider_rate_limited',
    true,
  ],
  [
    429,
    failure('You exceeded your current quota, please check your plan and billing details. Please retry in 32.5s.'),
    'provider_rate_limited',
    true,
  ],
  [424, failure('Request failed during generation: Server error'), 'upstream_error', true],
  [498, failure('m', { code: 'capacity_exceeded' }), 'provider_rate_limited', true],
  [500, failure('m'), 'upstream_error', true],
  [301, failure('m'), 'upstream_invalid_response', true],
])('HTTP %i with %j is %s', (status, given, code, retryable) => {
  expect(toUpstreamError(status, given as never)).toMatchObject({ code, retryable })
})

test('keeps the parameter that a server blames', () => {
  expect(toUpstreamError(400, failure('m', { param: 'top_p' })).param).toBe('top_p')
  expect(toUpstreamError(404, failure('m')).param).toBe('model')
})

describe('words that may be shown', () => {
  test.each([
    ['see https://intern.example/x?y=1 for more', 'see [address] for more'],
    ['connect 10.0.0.1:8000 refused', 'connect [address] refused'],
    ['key sk-abcdefgh12345678 is bad', 'key [key] is bad'],
    ['key AIzaSyA-abcdefghijklmnop_1234 is bad', 'key [key] is bad'],
    ['sent Bearer abc', 'sent [key]'],
    ['a\r\nb\u0000c', 'a b c'],
    ['', 'The model server refused the request.'],
  ])('in %j are shown as %j', (message, expected) => {
    expect(toUpstreamError(400, failure(message)).message).toBe(expected)
  })

  test('are bounded, whatever they are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 5000 }), message => {
        const { message: shown } = toUpstreamError(400, failure(message))

        expect(shown.length).toBeLessThanOrEqual(2000)
        expect(shown).not.toMatch(/\p{Cc}/u)
      }),
    )
  })
})

describe('the wait that an answer asks for', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')

  test.each<[Record<string, string>, number | null]>([
    [{}, null],
    [{ 'retry-after': '5' }, 5000],
    [{ 'retry-after': '0.5' }, 500],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '-1' }, null],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:01:00 GMT' }, 60_000],
    [{ 'retry-after': 'Wed, 31 Dec 2025 23:00:00 GMT' }, 0],
    [{ 'retry-after': '5', 'retry-after-ms': '1234' }, 1234],
    [{ 'retry-after': '5', 'retry-after-ms': 'x' }, 5000],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' }, 360_000],
    [{ 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '20ms' }, 20],
    [{ 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '1h2m3.5s' }, 3_723_500],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '7.66' }, 7660],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1767225605' }, 5000],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1767225605000' }, 5000],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': 'later' }, null],
    [{ 'x-ratelimit-remaining-requests': '0' }, null],
    [{ 'x-ratelimit-remaining-requests': '9', 'x-ratelimit-reset-requests': '6m0s' }, null],
    [
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '2s',
      },
      2000,
    ],
    [{ 'retry-after': '1e300' }, 86_400_000],
    [{ 'retry-after': ' ' }, null],
    [{ 'retry-after': '5 apples' }, null],
    [{ 'retry-after': '2026-01-01T00:00:03Z' }, 3000],
    [{ 'retry-after-ms': '-5', 'retry-after': '2' }, 2000],
    [{ 'retry-after': 'soon', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '3s' }, 3000],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2026-01-01T00:00:09Z' }, 9000],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '-5s' }, null],
    [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '99999999h' }, 86_400_000],
  ])('%j', (headers, ms) => {
    expect(retryAfterOf(head(headers), now)).toBe(ms)
  })
})

test('keeps the private story out of the message', () => {
  const error = invalidAnswer('<html>secret</html>')

  expect(error.message).not.toContain('secret')
  expect(error.cause).toContain('secret')
})
