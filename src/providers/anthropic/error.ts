import { GatewayError } from '#core/errors.ts'
import { isObject, parseJson } from '#lib/json.ts'
import { fromErrorResponse, readFailure } from '../openai_compatible/error.ts'
import type { Head } from '../provider.ts'
import { isWrongAddress, retryAfterOf, toUpstreamError, type UpstreamFailure, wrongAddress } from '../upstream-error.ts'

/** The HTTP status of each type of error, for those that come under HTTP 200. */
const STATUSES: ReadonlyMap<string | null, number> = new Map([
  ['invalid_request_error', 400],
  ['authentication_error', 401],
  ['billing_error', 402],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['timeout_error', 504],
  ['overloaded_error', 529],
])
const OVERLOADED = 529

/** Errors under HTTP 400 that only their text tells apart, with the status or code that they mean. */
const WORDS: readonly (readonly [RegExp, { readonly status?: number; readonly code?: string }])[] = [
  // Another credential may still have credit.
  [/credit balance is too low|reached your specified (?:\w+ )?API usage limits/i, { status: 402 }],
  [/exceed context limit/i, { code: 'context_length_exceeded' }],
  [/content filtering policy/i, { code: 'content_policy_violation' }],
]

/** The limits whose remainder stands in the headers of an answer, such as `anthropic-ratelimit-requests-remaining`. */
const LIMITS = ['requests', 'tokens', 'input-tokens', 'output-tokens'] as const

/** Reads an answer outside 2xx: `{"type":"error","error":{"type":…,"message":…}}`.
 *
 * @param nowEpochMs Only read for waits that are given as a date. */
export function fromAnthropicErrorResponse(head: Head, body: string, nowEpochMs: number = Date.now()): GatewayError {
  const value = parseJson(body)
  if (!isObject(value) || value.type !== 'error') return fromErrorResponse(head, body, nowEpochMs)
  const failure = readFailure(value)
  if (isWrongAddress(head.status, failure)) return wrongAddress(head.status)
  const wait = retryAfterOf(head, nowEpochMs) ?? resetOf(head, nowEpochMs)
  return toError(head.status, failure, wait)
}

/** Reads an error that came under HTTP 200: as the whole body, or as an event of a stream. */
export function fromAnthropicErrorBody(body: unknown): GatewayError {
  const failure = readFailure(body)
  return toError(STATUSES.get(failure.type) ?? 500, failure, null)
}

function toError(status: number, failure: UpstreamFailure, retryAfterMs: number | null): GatewayError {
  if (status === OVERLOADED) {
    return new GatewayError('upstream_error', 'The model server is overloaded; try again later.', {
      cause: { status, ...failure },
      retryAfterMs,
    })
  }
  const found = status === 400 ? WORDS.find(([words]) => words.test(failure.message))?.[1] : undefined
  return toUpstreamError(found?.status ?? status, { ...failure, code: found?.code ?? failure.code }, retryAfterMs)
}

/** The wait until the limits that are used up begin anew. */
function resetOf(head: Head, nowEpochMs: number): number | null {
  let longest: number | null = null
  for (const limit of LIMITS) {
    if (head.header(`anthropic-ratelimit-${limit}-remaining`) !== '0') continue
    const at = Date.parse(head.header(`anthropic-ratelimit-${limit}-reset`) ?? '')
    if (!Number.isNaN(at)) longest = Math.max(longest ?? 0, at - nowEpochMs)
  }
  return longest
}
