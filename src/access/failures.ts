import { LRUCache } from 'lru-cache'
import { GatewayError } from '#core/errors.ts'

const ACCEPTED_MAX = 10_000

/** Headers whose key was good when it was last looked up: they are not held up by others behind their address. They outlive
 * what is remembered of callers, which goes with each change of any key. */
export type Accepted = LRUCache<string, true>

/** Creates an empty memory of accepted headers. */
export function createAccepted(): Accepted {
  return new LRUCache({ max: ACCEPTED_MAX })
}

/** The error for an address that has sent too many wrong credentials. */
export function tooManyFailures(waitMs: number): GatewayError {
  return new GatewayError(
    'rate_limit_exceeded',
    'This address has sent too many keys that are not valid. Please wait before trying another one.',
    { retryAfterMs: waitMs },
  )
}
