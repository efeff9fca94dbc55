import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject, type JsonValue, parseJson } from '#lib/json.ts'
import type { Head } from '../provider.ts'
import { isWrongAddress, retryAfterOf, toUpstreamError, type UpstreamFailure, wrongAddress } from '../upstream-error.ts'

/** Reads an answer outside 2xx, whatever its body is.
 *
 * @param nowEpochMs Only read for a `Retry-After` that is a date. */
export function fromErrorResponse(head: Head, body: string, nowEpochMs: number = Date.now()): GatewayError {
  const failure = readFailure(parseJson(body))
  if (isWrongAddress(head.status, failure)) return wrongAddress(head.status)
  return toUpstreamError(head.status, failure, retryAfterOf(head, nowEpochMs))
}

/** Reads an error that came under HTTP 200: as the whole body, or as one event of a stream. */
export function fromErrorBody(body: unknown): GatewayError {
  const failure = readFailure(body)
  const status = inBandStatus(body, failure)
  if (status < 500) return toUpstreamError(status, failure)
  return new GatewayError('upstream_error', 'The model server answered with an error.', { cause: failure })
}

/** Reasons for an end that are failures. DeepSeek uses the second when it had no capacity to go on. */
const FAILED: ReadonlySet<JsonValue> = new Set(['error', 'insufficient_system_resource'])

/** Finds the error in a parsed 2xx body or event: OpenAI's shape, vLLM's, FastAPI's, a bare message, a choice that
 * failed.
 *
 * @returns What holds the error; `null` when there is none. */
export function errorIn(body: JsonObject): JsonObject | null {
  if (body.error || body.object === 'error') return body
  if (Array.isArray(body.choices)) {
    return body.choices.find(choice => isObject(choice) && FAILED.has(choice.finish_reason)) ?? null
  }
  return body.data === undefined && (body.detail || typeof body.message === 'string') ? body : null
}

/** Reads a server's description of its failure from any of the shapes in use. */
export function readFailure(given: unknown): UpstreamFailure {
  // Google's compatible endpoint puts its errors into a list of one.
  const body: unknown = Array.isArray(given) ? given[0] : given
  if (typeof body === 'string') return { message: body, code: null, type: null, param: null }
  if (!isObject(body)) return { message: '', code: null, type: null, param: null }
  const error = isObject(body.error) ? body.error : body
  return {
    message: messageOf(body.error, error, body),
    code: wordOf(error.code) ?? wordOf(body.code),
    type: wordOf(error.type),
    param: wordOf(error.param),
  }
}

function messageOf(given: unknown, error: JsonObject, body: JsonObject): string {
  if (typeof given === 'string') return given
  const inner = isObject(error.metadata) ? error.metadata.raw : undefined
  // OpenRouter wraps the error of the server behind it.
  if (typeof inner === 'string' && error.message === 'Provider returned error') {
    const wrapped = readFailure(parseJson(inner) ?? inner).message
    if (wrapped !== '') return wrapped
  }
  if (typeof error.message === 'string') return error.message
  return textOf(error.message) || textOf(error.detail) || textOf(body.detail)
}

/** FastAPI puts a list of problems, each with its place, where others put a sentence. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(problemOf).filter(Boolean).join('; ')
  return isObject(value) ? JSON.stringify(value) : ''
}

function problemOf(problem: unknown): string {
  if (!isObject(problem)) return typeof problem === 'string' ? problem : ''
  const place = Array.isArray(problem.loc) ? `${problem.loc.filter(part => part !== 'body').join('.')}: ` : ''
  return place + (wordOf(problem.msg) ?? wordOf(problem.message) ?? '')
}

function wordOf(value: unknown): string | null {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : null
}

const WORDS: readonly (readonly [RegExp, number])[] = [
  [/rate.?limit|too.?many.?requests|quota/i, 429],
  [/authentication|invalid.?api.?key|permission|unauthorized/i, 401],
  [/not.?found/i, 404],
  [/invalid.?(?:request|argument|prompt|value|param)|bad.?request|context.?length|content.?filter|unsupported/i, 400],
]

/** The HTTP status that an error under HTTP 200 would have had. */
function inBandStatus(body: unknown, failure: UpstreamFailure): number {
  const error = isObject(body) && isObject(body.error) ? body.error : isObject(body) ? body : {}
  for (const value of [error.status_code, error.status, Number(failure.code ?? Number.NaN)]) {
    if (typeof value === 'number' && value >= 400 && value < 600) return value
  }
  const words = `${failure.code ?? ''} ${failure.type ?? ''}`
  return WORDS.find(([pattern]) => pattern.test(words))?.[1] ?? 500
}
