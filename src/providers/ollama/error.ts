import { GatewayError } from '#core/errors.ts'
import { isObject, parseJson } from '#lib/json.ts'
import { fromErrorResponse, readFailure } from '../openai_compatible/error.ts'
import type { Head } from '../provider.ts'
import { toUpstreamError } from '../upstream-error.ts'

const ABILITY = /does not support (thinking|tools|insert|chat|generate|embeddings?|vision)/i

const ABILITY_PARAMS: Readonly<Record<string, string>> = {
  thinking: 'reasoning_effort',
  tools: 'tools',
  insert: 'suffix',
  vision: 'messages',
}

/** Reads an answer outside 2xx: `{"error":"<words>"}`. */
export function fromOllamaErrorResponse(head: Head, body: string): GatewayError {
  const failure = readFailure(parseJson(body))
  const ability = ABILITY.exec(failure.message)?.[1]
  if (head.status !== 400 || ability === undefined) return fromErrorResponse(head, body)
  const param = ABILITY_PARAMS[ability.toLowerCase()] ?? 'model'
  return toUpstreamError(400, { ...failure, code: 'unsupported_parameter', param })
}

/** Reads an error that came under HTTP 200, as the last line of a stream. */
export function fromOllamaErrorLine(line: unknown): GatewayError {
  const failure = readFailure(line)
  const status = isObject(line) && typeof line.status === 'number' ? line.status : 500
  if (status >= 400 && status < 500) return toUpstreamError(status, failure)
  return new GatewayError('upstream_error', 'The model server broke off with an error.', { cause: failure })
}
