import { type Code, ERRORS } from '#core/errors.ts'

/** What each error code means, in one sentence for the reference. */
export const ERROR_MEANINGS: Readonly<Record<Code, string>> = {
  invalid_json: 'The body is not valid JSON.',
  invalid_request: 'A field is missing or has a value that is not allowed; `details` lists every problem.',
  invalid_host: 'The `Host` header names no address that the gateway serves.',
  context_length_exceeded: 'The prompt and the answer do not fit into the context window of the model.',
  content_policy_violation: 'The model server refused the content.',
  unsupported_parameter: 'The model does not support one of the parameters.',
  address_not_allowed: 'The gateway may not dial this address.',
  invalid_api_key: 'The key is unknown, expired or revoked.',
  missing_api_key: 'This gateway needs a key and the request has none.',
  invalid_signature: 'The signature is missing, does not match the request, is too old, or was used before.',
  model_not_allowed: 'The key may not use this model.',
  permission_denied: 'The key may not do this.',
  origin_not_allowed: 'Web pages of this origin may not call the gateway.',
  client_not_allowed: 'Clients from this network address may not call the gateway.',
  model_not_found: 'No model has this name; the message has the closest names.',
  not_found: 'There is nothing at this path.',
  method_not_allowed: 'The path exists, but not with this method; `allow` lists those that it has.',
  request_timeout: 'The body did not arrive in time.',
  idempotency_conflict: 'A request with the same idempotency key is still running.',
  conflict: 'The change conflicts with the current state.',
  request_too_large: 'The body is larger than the gateway accepts.',
  unsupported_media_type: 'The `content-encoding` of the body is none of gzip, deflate and br.',
  idempotency_mismatch: 'The idempotency key was used with another body.',
  rate_limit_exceeded: 'Too many requests; `retry-after` says when to come back.',
  concurrency_limit_exceeded: 'Too many requests at the same time.',
  token_limit_exceeded: 'Too many tokens in this period.',
  budget_exceeded: 'The budget of the key is spent.',
  queue_full: 'Every server of the model is busy.',
  queue_timeout: 'No server of the model became free in time.',
  provider_rate_limited: 'Every server of the model is rate-limiting the gateway.',
  insufficient_quota: 'The account at the provider is out of credit.',
  client_closed_request: 'The caller disconnected before the answer; only logs and metrics show it.',
  internal_error: 'The gateway itself failed; the log has the details under the request id.',
  upstream_error: 'The model server failed.',
  upstream_auth_failed: 'The model server refused the credential of the gateway.',
  upstream_invalid_response: 'The answer of the model server could not be read.',
  upstream_tls_error: 'The encrypted connection to the model server could not be opened.',
  stream_interrupted: 'The answer broke off after it had begun.',
  all_targets_failed: 'Every server that could answer was tried and failed; `attempts` lists them.',
  no_healthy_upstream: 'No server of the model is healthy.',
  server_shutting_down: 'The gateway is stopping.',
  dependency_unavailable: 'The database, Redis or an issuer of tokens cannot be reached.',
  overloaded: 'The gateway is overloaded.',
  upstream_timeout: 'The model server did not answer in time.',
  upstream_idle_timeout: 'The model server fell silent in the middle of its answer.',
  deadline_exceeded: 'The request took longer than the total time allowed.',
  loop_detected: 'The request has come through too many gateways, or through this one already.',
  only_if_cached: 'Only a stored answer was asked for, and there is none.',
}

/** Errors by what a request passes; an operation names the groups that it passes. */
export const ERROR_GROUPS = {
  /** What every request passes. */
  guard: ['invalid_host', 'client_not_allowed', 'internal_error'],
  /** A path that needs a caller. */
  caller: [
    'missing_api_key',
    'invalid_api_key',
    'invalid_signature',
    'permission_denied',
    'rate_limit_exceeded',
    'dependency_unavailable',
  ],
  /** A path whose requests are counted. */
  limits: ['rate_limit_exceeded', 'concurrency_limit_exceeded', 'token_limit_exceeded', 'dependency_unavailable'],
  /** A method that changes something, or costs something. */
  change: ['origin_not_allowed', 'request_too_large'],
  /** A body that is read. */
  body: ['invalid_json', 'invalid_request', 'request_timeout', 'unsupported_media_type'],
  /** A model call, on its way to a server. */
  model: [
    'idempotency_conflict',
    'idempotency_mismatch',
    'only_if_cached',
    'model_not_found',
    'model_not_allowed',
    'context_length_exceeded',
    'content_policy_violation',
    'unsupported_parameter',
    'budget_exceeded',
    'queue_full',
    'queue_timeout',
    'provider_rate_limited',
    'insufficient_quota',
    'upstream_error',
    'upstream_auth_failed',
    'upstream_invalid_response',
    'upstream_tls_error',
    'overloaded',
    'all_targets_failed',
    'no_healthy_upstream',
    'server_shutting_down',
    'upstream_timeout',
    'deadline_exceeded',
  ],
} as const satisfies Record<string, readonly Code[]>

export type ErrorGroup = keyof typeof ERROR_GROUPS

/** Sorts codes by their HTTP status, lowest first. */
export function byStatus(codes: readonly Code[]): ReadonlyMap<number, readonly Code[]> {
  const groups = new Map<number, Code[]>()
  for (const code of [...new Set(codes)].sort((left, right) => ERRORS[left].status - ERRORS[right].status)) {
    const { status } = ERRORS[code]
    groups.set(status, [...(groups.get(status) ?? []), code])
  }
  return groups
}
