import { GatewayError } from '#core/errors.ts'

/** The error for an address that has sent too many wrong credentials. */
export function tooManyFailures(waitMs: number): GatewayError {
  return new GatewayError(
    'rate_limit_exceeded',
    'This address has sent too many keys that are not valid. Please wait before trying another one.',
    { retryAfterMs: waitMs },
  )
}
