import { describe, expect, test } from 'bun:test'
import type { JsonObject } from '#lib/json.ts'
import { gemini } from '#providers/gemini/index.ts'

function decode(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) {
  const head = { status, header: (name: string) => headers[name] ?? null }
  return gemini.decodeError(head, typeof body === 'string' ? body : JSON.stringify(body))
}

const error = (code: number, status: string, message: string, details: readonly JsonObject[] = []) => ({
  error: { code, status, message, details },
})
const reason = (word: string) => ({ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: word })
const wait = (retryDelay: string) => ({ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay })
const quota = (quotaId: string, quotaValue = '20') => ({
  '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
  violations: [{ quotaId, quotaValue }],
})

test.each<[string, number, JsonObject, string]>([
  [
    'a key that is wrong',
    400,
    error(400, 'INVALID_ARGUMENT', 'API key not valid.', [reason('API_KEY_INVALID')]),
    'upstream_auth_failed',
  ],
  [
    'a key that is too old',
    400,
    error(400, 'INVALID_ARGUMENT', 'API key expired.', [reason('API_KEY_INVALID')]),
    'upstream_auth_failed',
  ],
  [
    'a project without billing',
    400,
    error(400, 'FAILED_PRECONDITION', 'User location is not supported.'),
    'upstream_auth_failed',
  ],
  ['a key without rights', 403, error(403, 'PERMISSION_DENIED', 'Requests are blocked.'), 'upstream_auth_failed'],
  [
    "a file that is not the caller's",
    403,
    error(403, 'PERMISSION_DENIED', 'You do not have permission to access the File x.'),
    'invalid_request',
  ],
  ['a mistake', 400, error(400, 'INVALID_ARGUMENT', 'Invalid JSON payload.'), 'invalid_request'],
  [
    'a prompt that is too long',
    400,
    error(
      400,
      'INVALID_ARGUMENT',
      'The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).',
    ),
    'context_length_exceeded',
  ],
  [
    'a model that is not there',
    404,
    error(404, 'NOT_FOUND', 'models/x is not found for API version v1beta'),
    'model_not_found',
  ],
  ['overload', 503, error(503, 'UNAVAILABLE', 'The model is overloaded.'), 'upstream_error'],
  ['a server that gave up', 499, error(499, 'CANCELLED', 'The operation was cancelled.'), 'upstream_error'],
])('%s', (_, status, body, code) => {
  expect(decode(status, body)).toMatchObject({ code })
  expect(decode(status, [body])).toMatchObject({ code })
})

test('a file that is not ready yet is no matter of the key', () => {
  const body = error(400, 'FAILED_PRECONDITION', 'The File x is not in an ACTIVE state and usage is not allowed.')

  expect(decode(400, body)).toMatchObject({ code: 'invalid_request' })
})

test('a page of HTML says nothing of a model', () => {
  expect(decode(404, '<html>Not found</html>')).toMatchObject({ code: 'upstream_invalid_response' })
  expect(decode(502, '<html>')).toMatchObject({ code: 'upstream_error' })
})

describe('a spent quota', () => {
  const BILLING = 'You exceeded your current quota, please check your plan and billing details.'
  const spent = (...details: JsonObject[]) => error(429, 'RESOURCE_EXHAUSTED', BILLING, details)

  test.each<[string, JsonObject, string, number | null]>([
    [
      'of the minute is waited for',
      spent(quota('RequestsPerMinutePerProject'), wait('34.4s')),
      'provider_rate_limited',
      34_400,
    ],
    ['of which nothing is told may be of the minute', spent(), 'provider_rate_limited', null],
    [
      'of the day is none to wait for',
      spent(quota('RequestsPerDayPerProject'), wait('12s')),
      'insufficient_quota',
      null,
    ],
    ['that is none at all', spent(quota('RequestsPerMinutePerProject', '0')), 'insufficient_quota', null],
    ['with a wait that is none', spent(wait('soon')), 'provider_rate_limited', null],
    ['with a wait beyond measure', spent(wait('9999999s')), 'provider_rate_limited', 86_400_000],
  ])('%s', (_, body, code, retryAfterMs) => {
    expect(decode(429, body)).toMatchObject({ code, retryAfterMs })
  })

  test('has its wait in a header, if there is one', () => {
    expect(decode(429, spent(wait('5s')), { 'retry-after': '2' }).retryAfterMs).toBe(2000)
  })
})

test('overload may say how long it lasts', () => {
  expect(decode(503, error(503, 'UNAVAILABLE', 'x', [wait('3s')])).retryAfterMs).toBe(3000)
})
