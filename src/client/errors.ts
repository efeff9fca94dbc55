/** What the gateway says went wrong; the API reference tells what each one means. */
export const GATEWAY_CODES = [
  'invalid_json',
  'invalid_request',
  'invalid_host',
  'context_length_exceeded',
  'content_policy_violation',
  'unsupported_parameter',
  'address_not_allowed',
  'invalid_api_key',
  'missing_api_key',
  'invalid_signature',
  'model_not_allowed',
  'permission_denied',
  'origin_not_allowed',
  'client_not_allowed',
  'model_not_found',
  'not_found',
  'method_not_allowed',
  'request_timeout',
  'idempotency_conflict',
  'conflict',
  'request_too_large',
  'unsupported_media_type',
  'idempotency_mismatch',
  'rate_limit_exceeded',
  'concurrency_limit_exceeded',
  'token_limit_exceeded',
  'budget_exceeded',
  'queue_full',
  'queue_timeout',
  'provider_rate_limited',
  'insufficient_quota',
  'client_closed_request',
  'internal_error',
  'upstream_error',
  'upstream_auth_failed',
  'upstream_invalid_response',
  'upstream_tls_error',
  'stream_interrupted',
  'all_targets_failed',
  'no_healthy_upstream',
  'server_shutting_down',
  'dependency_unavailable',
  'overloaded',
  'upstream_timeout',
  'upstream_idle_timeout',
  'deadline_exceeded',
  'loop_detected',
  'only_if_cached',
] as const

/** A code of the gateway. */
export type GatewayCode = (typeof GATEWAY_CODES)[number]

/** What goes wrong on the way to the gateway, or in this process.
 *
 * `connection_failed`: no answer, or one that broke off. `client_timeout`: a clock of this client ran out. `aborted`: the
 * signal, or `stream.abort()`. `stream_truncated`: a stream ended without `[DONE]`: what came is not all.
 * `unexpected_answer`: something else answered, such as a proxy, or the gateway with a code that this version does not
 * know. */
export type ClientCode = 'connection_failed' | 'client_timeout' | 'aborted' | 'stream_truncated' | 'unexpected_answer'

/** One upstream attempt, as the gateway tells of it. */
export interface AttemptSummary {
  readonly server: string
  readonly result: string
  readonly ms: number
}

/** One problem of a request, named by its path in the body. */
export interface ProblemDetail {
  readonly path: string
  readonly message: string
}

/** What an error knows beside its code. */
export interface CitadelErrorOptions {
  readonly status?: number | null
  readonly type?: string | null
  readonly param?: string | null
  readonly headers?: Headers | null
  readonly details?: readonly ProblemDetail[]
  readonly attempts?: readonly AttemptSummary[]
  readonly deliveredChars?: number | null
  readonly cause?: unknown
}

/** The one error of the client; `code` tells them apart. The fields are named as those of the `openai` package. */
export class CitadelError extends Error {
  readonly code: GatewayCode | ClientCode
  /** The HTTP status; null when there was no answer, and for an error inside of a stream. */
  readonly status: number | null
  readonly type: string | null
  readonly param: string | null
  readonly headers: Headers | null
  /** The id under which `client.request(id)` and the gateway's log know the call. */
  readonly requestID: string | null
  /** When trying again can help, in milliseconds; null when the gateway did not say. */
  readonly retryAfterMs: number | null
  readonly details: readonly ProblemDetail[]
  readonly attempts: readonly AttemptSummary[]
  /** Of a stream that broke off: the characters of the answer that came before. */
  readonly deliveredChars: number | null

  constructor(code: GatewayCode | ClientCode, message: string, options: CitadelErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'CitadelError'
    this.code = code
    this.status = options.status ?? null
    this.type = options.type ?? null
    this.param = options.param ?? null
    this.headers = options.headers ?? null
    this.requestID = this.headers?.get('x-request-id') ?? null
    this.retryAfterMs = this.headers === null ? null : retryAfterOf(this.headers)
    this.details = options.details ?? []
    this.attempts = options.attempts ?? []
    this.deliveredChars = options.deliveredChars ?? null
  }
}

/** Reads the error in the body of an answer, or in an event of a stream; `message` is for one that has none. */
export function errorFrom(body: unknown, message: string, options: CitadelErrorOptions): CitadelError {
  const error = isRecord(body) && isRecord(body.error) ? body.error : {}
  const text = (value: unknown) => (typeof value === 'string' ? value : null)
  return new CitadelError(
    isGatewayCode(error.code) ? error.code : 'unexpected_answer',
    text(error.message) ?? message,
    {
      ...options,
      type: text(error.type),
      param: text(error.param),
      details: listOf(error.details),
      attempts: listOf(error.attempts),
      deliveredChars: typeof error.delivered_chars === 'number' ? error.delivered_chars : null,
    },
  )
}

/** The error of an answer that is no good, in the gateway's words where its body has them. */
export function errorOf({ status, headers }: Response, body: unknown = null): CitadelError {
  const what = headers.get('content-type') ?? 'no content type'
  return errorFrom(body, `The answer (HTTP ${status}, ${what}) is not from the gateway.`, { status, headers })
}

/** Gives a list, an empty one for any other value. */
export function listOf(value: unknown) {
  return Array.isArray(value) ? value : []
}

/** Tells an object from any other value. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isGatewayCode(value: unknown): value is GatewayCode {
  return GATEWAY_CODES.some(code => code === value)
}

/** `retry-after-ms` is exact; `retry-after` comes in seconds or as a date (RFC 9110 §10.2.3). */
function retryAfterOf(headers: Headers): number | null {
  const exact = headers.get('retry-after-ms') || 'none'
  const value = headers.get('retry-after') || 'none'
  if (Number(exact) >= 0) return Number(exact)
  if (Number(value) >= 0) return Number(value) * 1000
  // Each form of a date begins with a day of the week; runtimes read one into nearly any text.
  const date = /^[a-z]/i.test(value) && Date.parse(value)
  return date ? Math.max(0, date - Date.now()) : null
}
