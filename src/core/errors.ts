/** Whose fault an error is: it decides which counter moves and which message the caller reads. */
export type Fault = 'caller' | 'policy' | 'upstream' | 'gateway'

interface ErrorClass {
  readonly status: number
  /** The `type` field of OpenAI's error body. */
  readonly type: string
  /** Whether another target may be tried for the same call. */
  readonly retryable: boolean
  readonly fault: Fault
}

const invalid = { type: 'invalid_request_error', retryable: false, fault: 'caller' } as const
const denied = { type: 'permission_error', retryable: false, fault: 'policy' } as const
const limited = { status: 429, type: 'rate_limit_error', retryable: false, fault: 'policy' } as const
const upstream = { type: 'server_error', retryable: true, fault: 'upstream' } as const
const own = { type: 'server_error', retryable: false, fault: 'gateway' } as const

/** Every error code of the gateway, with its HTTP status, OpenAI type, retryability and fault. */
export const ERRORS = {
  invalid_json: { status: 400, ...invalid },
  invalid_request: { status: 400, ...invalid },
  invalid_host: { status: 400, ...invalid },
  context_length_exceeded: { status: 400, ...invalid },
  content_policy_violation: { status: 400, ...invalid },
  unsupported_parameter: { status: 400, ...invalid },
  address_not_allowed: { status: 400, ...invalid },
  invalid_api_key: { status: 401, type: 'authentication_error', retryable: false, fault: 'caller' },
  missing_api_key: { status: 401, type: 'authentication_error', retryable: false, fault: 'caller' },
  invalid_signature: { status: 401, type: 'authentication_error', retryable: false, fault: 'caller' },
  model_not_allowed: { status: 403, ...denied },
  permission_denied: { status: 403, ...denied },
  origin_not_allowed: { status: 403, ...denied },
  client_not_allowed: { status: 403, ...denied },
  model_not_found: { status: 404, ...invalid },
  not_found: { status: 404, ...invalid },
  method_not_allowed: { status: 405, ...invalid },
  request_timeout: { status: 408, ...invalid },
  idempotency_conflict: { status: 409, ...invalid },
  conflict: { status: 409, ...invalid },
  request_too_large: { status: 413, ...invalid },
  unsupported_media_type: { status: 415, ...invalid },
  idempotency_mismatch: { status: 422, ...invalid },
  rate_limit_exceeded: limited,
  concurrency_limit_exceeded: limited,
  token_limit_exceeded: limited,
  budget_exceeded: limited,
  queue_full: limited,
  queue_timeout: limited,
  provider_rate_limited: { status: 429, type: 'rate_limit_error', retryable: true, fault: 'upstream' },
  insufficient_quota: { status: 429, type: 'insufficient_quota', retryable: true, fault: 'upstream' },
  client_closed_request: { status: 499, ...invalid },
  internal_error: { status: 500, ...own },
  upstream_error: { status: 502, ...upstream },
  upstream_auth_failed: { status: 502, ...upstream },
  upstream_invalid_response: { status: 502, ...upstream },
  upstream_tls_error: { status: 502, ...upstream },
  stream_interrupted: { status: 502, type: 'server_error', retryable: false, fault: 'upstream' },
  all_targets_failed: { status: 503, type: 'server_error', retryable: false, fault: 'upstream' },
  no_healthy_upstream: { status: 503, type: 'server_error', retryable: false, fault: 'upstream' },
  server_shutting_down: { status: 503, ...own },
  dependency_unavailable: { status: 503, ...own },
  overloaded: { status: 503, ...own },
  upstream_timeout: { status: 504, ...upstream },
  upstream_idle_timeout: { status: 504, ...upstream },
  deadline_exceeded: { status: 504, type: 'server_error', retryable: false, fault: 'upstream' },
  loop_detected: { status: 508, type: 'server_error', retryable: false, fault: 'caller' },
  only_if_cached: { status: 504, ...invalid },
} as const satisfies Record<string, ErrorClass>

export type Code = keyof typeof ERRORS

/** One problem of a request, named by its path in the body (`messages.0.role`). */
export interface Detail {
  readonly path: string
  readonly message: string
}

/** One upstream attempt as the caller may see it: no address, no upstream text. */
export interface AttemptSummary {
  readonly server: string
  readonly result: Code | 'ok'
  readonly ms: number
}

export interface GatewayErrorOptions {
  readonly param?: string | null
  readonly details?: readonly Detail[]
  readonly attempts?: readonly AttemptSummary[]
  /** When trying again can help, in milliseconds from now. */
  readonly retryAfterMs?: number | null
  /** Whether another target may be tried; the code's own answer when absent. */
  readonly retryable?: boolean
  /** Whether the request is known not to have reached a server. */
  readonly unsent?: boolean
  /** The public name of the model that nobody can answer for now. */
  readonly model?: string | null
  /** `false` asks SDKs not to multiply what the gateway already tried. */
  readonly shouldRetry?: boolean
  /** More response headers, such as `allow`. */
  readonly headers?: Readonly<Record<string, string>>
  /** The private story, for the log only. */
  readonly cause?: unknown
}

/** The one error of the gateway. `message` is public; what must stay private goes into `cause`. */
export class GatewayError extends Error {
  readonly code: Code
  readonly param: string | null
  readonly details: readonly Detail[]
  readonly attempts: readonly AttemptSummary[]
  readonly retryAfterMs: number | null
  readonly retryable: boolean
  readonly unsent: boolean
  readonly model: string | null
  readonly shouldRetry: boolean | null
  readonly headers: Readonly<Record<string, string>>

  constructor(code: Code, message: string, options: GatewayErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'GatewayError'
    this.code = code
    this.param = options.param ?? null
    this.details = options.details ?? []
    this.attempts = options.attempts ?? []
    this.retryAfterMs = options.retryAfterMs ?? null
    this.retryable = options.retryable ?? ERRORS[code].retryable
    this.unsent = options.unsent ?? false
    this.model = options.model ?? null
    this.shouldRetry = options.shouldRetry ?? null
    this.headers = options.headers ?? {}
  }

  get status(): number {
    return ERRORS[this.code].status
  }
}

/** Turns anything thrown into a `GatewayError`; what is unknown becomes `internal_error` with the story in `cause`. */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  return new GatewayError('internal_error', 'The gateway failed while it handled this request.', { cause: thrown })
}

/** The OpenAI error body: the four keys always, `details` and `attempts` when there are any. */
export interface ErrorBody {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    readonly code: string
    readonly details?: readonly Detail[]
    readonly attempts?: readonly AttemptSummary[]
    readonly delivered_chars?: number
  }
}

/** Builds the public body of an error. */
export function toErrorBody(error: GatewayError): ErrorBody {
  return {
    error: {
      message: error.message,
      type: ERRORS[error.code].type,
      param: error.param,
      code: error.code,
      ...(error.details.length > 0 && { details: error.details }),
      ...(error.attempts.length > 0 && { attempts: error.attempts }),
    },
  }
}
