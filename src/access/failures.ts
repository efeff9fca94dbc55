import { LRUCache } from 'lru-cache'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { clientNetwork } from '#lib/net.ts'

/** The clients that are remembered; more of them push out the ones that failed longest ago. */
const CLIENTS_MAX = 10_000
const MINUTE_MS = 60_000

/** Counts credentials that were refused, by the address that sent them. */
export interface Failures {
  /** Notes that an address sent a credential that is none. */
  note(address: string): void
  /** Until an address may try another credential, in milliseconds; 0 when it may now. */
  waitMs(address: string): number
}

/** Creates the count. An address may fail `perMinute` times at once, and then again as often in each minute; an IPv6
 * address counts with its /64.
 *
 * @param options.perMinute 0 = nobody ever waits. */
export function createFailures(options: {
  readonly perMinute: () => number
  readonly clock: Pick<Clock, 'now'>
}): Failures {
  const { clock, perMinute } = options
  /** For each client the moment at which all its failures are forgotten: the bucket of a GCRA. */
  const forgotten = new LRUCache<string, number>({ max: CLIENTS_MAX })
  return {
    note(address) {
      const limit = perMinute()
      if (limit === 0 || address === '') return
      const client = clientNetwork(address)
      forgotten.set(client, Math.max(forgotten.get(client) ?? 0, clock.now()) + MINUTE_MS / limit)
    },
    waitMs(address) {
      if (forgotten.size === 0) return 0
      const limit = perMinute()
      if (limit === 0) return 0
      const at = forgotten.get(clientNetwork(address))
      return at === undefined ? 0 : Math.max(0, at + MINUTE_MS / limit - MINUTE_MS - clock.now())
    },
  }
}

/** The error for an address that has sent too many credentials that are none. */
export function tooManyFailures(waitMs: number): GatewayError {
  return new GatewayError(
    'rate_limit_exceeded',
    'This address has sent too many keys that are not valid. Please wait before trying another one.',
    { retryAfterMs: waitMs },
  )
}
