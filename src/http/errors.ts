import { GatewayError, toErrorBody } from '#core/errors.ts'
import type { Exchange } from './exchange.ts'
import { json } from './reply.ts'

/** SDKs ignore a wait of more than a minute and would retry at once instead. */
const RETRY_MS_MAX = 60_000

/** Writes an error as OpenAI does: the one place that turns a code into a response. */
export function errorResponse(exchange: Exchange, error: GatewayError): Response | Promise<Response> {
  const { headers } = exchange
  noteError(exchange, error)
  Object.assign(headers, error.headers)
  if (error.retryAfterMs !== null) {
    const ms = Math.max(1, Math.ceil(error.retryAfterMs))
    headers['retry-after'] = String(Math.ceil(ms / 1000))
    headers['retry-after-ms'] = String(ms)
    if (ms > RETRY_MS_MAX) headers['x-should-retry'] = 'false'
  }
  if (error.shouldRetry !== null) headers['x-should-retry'] = String(error.shouldRetry)
  return json(exchange, toErrorBody(error), error.status)
}

/** Notes an error for the log and the metrics. */
export function noteError({ record }: Exchange, error: GatewayError): void {
  record.code = error.code
  record.error = error
  if (record.outcome === 'ok') record.outcome = error.code === 'client_closed_request' ? 'cancelled' : 'denied'
}

/** What paths look like that clients have put together from a wrong base URL. */
const BASE_URL_MISTAKES: readonly (readonly [RegExp, string])[] = [
  [/\/\//, 'There are two slashes in a row in this path: the base URL of your client must not end in one.'],
  [/^\/v1\/v1(?:\/|$)/, 'There is no /v1/v1: the base URL of your client must end in /v1 once, not twice.'],
  [
    /\/(?:completions|embeddings)\/(?:chat\/completions|completions|embeddings|models)\/?$/,
    'The base URL of your client must end in /v1, not in the path of an endpoint.',
  ],
]

/** The error for a path that no route has. */
export function unknownPath(path: string): GatewayError {
  const mistake = BASE_URL_MISTAKES.find(([pattern]) => pattern.test(path))
  if (mistake !== undefined) return new GatewayError('not_found', mistake[1])
  return new GatewayError(
    'not_found',
    // Newer clients ask for other APIs first; nearly all of them can be told to use these.
    `Nothing is served at ${path.slice(0, 200)}. Models answer at /v1/chat/completions, /v1/completions and /v1/embeddings; all paths are described at /docs.`,
  )
}
