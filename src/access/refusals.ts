import { GatewayError } from '#core/errors.ts'

const UNAVAILABLE_RETRY_MS = 1000

/** The error for a request without a credential where one is needed. */
export function missing(): GatewayError {
  return new GatewayError('missing_api_key', 'An API key is needed: send it as "Authorization: Bearer <key>".', {
    headers: { 'www-authenticate': 'Bearer' },
  })
}

/** The error for keys that are unknown, expired or revoked: one for all, so that it tells nothing about keys.
 *
 * @param fault What the caller has to change in how the key was sent, which says nothing about keys either. */
export function refused(cause?: unknown, fault: string | null = null): GatewayError {
  return new GatewayError('invalid_api_key', `The API key is not valid${fault === null ? '' : `: ${fault}`}.`, {
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
    cause,
  })
}

/** The error for a key that cannot be checked, because the store of keys does not answer. */
export function unavailable(cause?: unknown): GatewayError {
  return new GatewayError('dependency_unavailable', 'Keys cannot be checked at the moment. Please try again.', {
    retryAfterMs: UNAVAILABLE_RETRY_MS,
    cause,
  })
}
