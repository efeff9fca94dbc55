import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import { fromErrorResponse, readFailure } from '../openai_compatible/error.ts'
import type { Head } from '../provider.ts'
import { isWrongAddress, retryAfterOf, toUpstreamError, type UpstreamFailure, wrongAddress } from '../upstream-error.ts'

/** The longest wait that is passed on, in milliseconds: a longer one only means "not today". */
const WAIT_MS_MAX = 86_400_000

/** Finds the error in a parsed body or event; some answers wrap it in an array of one.
 *
 * @returns `null` when there is none. */
export function geminiErrorIn(body: unknown): JsonObject | null {
  const only: unknown = Array.isArray(body) ? body[0] : body
  return isObject(only) && isObject(only.error) ? only.error : null
}

/** Reads an answer outside 2xx. */
export function fromGeminiErrorResponse(head: Head, body: string): GatewayError {
  const error = geminiErrorIn(parseJson(body))
  if (error === null) return fromErrorResponse(head, body)
  if (isWrongAddress(head.status, readFailure(error))) return wrongAddress(head.status)
  return toGatewayError(head.status, error, retryAfterOf(head, Date.now()))
}

/** Reads an error that came under HTTP 200. */
export function fromGeminiErrorBody(error: JsonObject): GatewayError {
  return toGatewayError(typeof error.code === 'number' ? error.code : 500, error, null)
}

function toGatewayError(status: number, error: JsonObject, waitMs: number | null): GatewayError {
  const details = Array.isArray(error.details) ? error.details.filter(isObject) : []
  const reason = details.map(detail => detail.reason).find(value => typeof value === 'string')
  const failure = {
    message: typeof error.message === 'string' ? error.message : '',
    code: typeof reason === 'string' ? reason : null,
    type: typeof error.status === 'string' ? error.status : null,
    param: null,
  }
  const retryAfterMs = waitMs ?? retryDelayOf(details)
  if (status === 429) {
    const code = isSpent(details) ? 'insufficient_quota' : 'provider_rate_limited'
    return new GatewayError(code, 'The model server limits its requests; try again later.', {
      cause: { status, ...failure },
      // With a used-up daily quota Google sends the wait of the quota of a minute, which would be wrong.
      retryAfterMs: code === 'insufficient_quota' ? waitMs : retryAfterMs,
    })
  }
  return toUpstreamError(statusOf(status, failure), failure, retryAfterMs)
}

/** Matches errors of projects that may not use the API in their region, or not without billing. */
const BARRED = /billing|location is not supported/i

/** Corrects the status to what is meant: Google answers 400 for a bad key and for a project that may not use the API,
 * 403 for a file of the caller that does not exist, and 499 when its server gave up. */
function statusOf(status: number, { code, type, message }: UpstreamFailure): number {
  if (status === 400 && code?.startsWith('API_KEY')) return 401
  if (status === 400 && type === 'FAILED_PRECONDITION' && BARRED.test(message)) return 401
  if (status === 403 && /access the file/i.test(message)) return 400
  return status === 499 || status < 400 ? 500 : status
}

/** Reads the wait from `RetryInfo` of google.rpc: seconds with an `s`, such as `3.5s`. */
function retryDelayOf(details: readonly JsonObject[]): number | null {
  const delay = details.map(detail => detail.retryDelay).find(value => typeof value === 'string')
  const seconds = typeof delay === 'string' ? Number(/^(\d+(?:\.\d+)?)s$/.exec(delay)?.[1] ?? Number.NaN) : Number.NaN
  return Number.isNaN(seconds) ? null : Math.min(Math.ceil(seconds * 1000), WAIT_MS_MAX)
}

/** Whether a quota of the day is used up, or there is none at all; waiting a minute does not help then. */
function isSpent(details: readonly JsonObject[]): boolean {
  const violations = details.flatMap(({ violations: list }) => (Array.isArray(list) ? list.filter(isObject) : []))
  return violations.some(({ quotaId, quotaValue }) => /PerDay/.test(String(quotaId)) || quotaValue === '0')
}
