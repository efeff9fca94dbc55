import type { JSONWebKeySet } from 'jose'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'

/** The age at which keys are read again, in milliseconds. */
const FRESH_MS = 10 * 60_000
/** How long keys are used beyond that age while they cannot be read, in milliseconds. */
const STALE_MS = 60 * 60_000
/** The least time between two reads because of an unknown key id, in milliseconds: anybody can send an invented id. */
const COOL_DOWN_MS = 30_000
/** The least time between a failed read and the next one, in milliseconds. */
const RETRY_MS = 5_000

/** The public keys of an issuer, read when they are needed and kept. */
export interface KeySet {
  /** Gives the keys, with the one of this id if the issuer has it.
   *
   * @throws GatewayError `dependency_unavailable` when that cannot be known, because the keys cannot be read. */
  find(kid: string | null): Promise<JSONWebKeySet>
  /** Whether keys that `find` gave are still the issuer's and may be used. Reads them again in the background when they
   * are old. */
  holds(found: JSONWebKeySet | null): boolean
}

/** Creates the key set of one issuer.
 *
 * @param options.load Reads the keys; anything it throws is a failure of the issuer.
 * @param options.onFailure Called for the first failure in a row. */
export function createKeySet(options: {
  readonly load: () => Promise<JSONWebKeySet>
  readonly clock: Pick<Clock, 'now'>
  readonly onFailure: (thrown: unknown) => void
}): KeySet {
  const { clock } = options
  let keys: JSONWebKeySet | null = null
  let readAt = 0
  let triedAt = 0
  let failure: { readonly thrown: unknown } | null = null
  let running: Promise<void> | null = null

  const age = () => clock.now() - readAt
  const usable = () => keys !== null && age() <= FRESH_MS + STALE_MS
  const has = (kid: string | null) => kid === null || keys?.keys.some(key => key.kid === kid) === true

  function mayTry(): boolean {
    if (failure !== null) return clock.now() - triedAt >= RETRY_MS
    return keys === null || clock.now() - triedAt >= COOL_DOWN_MS
  }

  async function read(): Promise<void> {
    try {
      const next = await options.load()
      if (JSON.stringify(next) !== JSON.stringify(keys)) keys = next
      readAt = clock.now()
      failure = null
    } catch (thrown) {
      if (failure === null) options.onFailure(thrown)
      failure = { thrown }
    } finally {
      triedAt = clock.now()
      running = null
    }
  }

  function refresh(): Promise<void> {
    if (running === null && mayTry()) running = read()
    return running ?? Promise.resolve()
  }

  return {
    async find(kid) {
      if (age() > FRESH_MS) void refresh()
      if (!usable() || !has(kid)) await refresh()
      const knows = keys !== null && usable() && (has(kid) || failure === null)
      if (keys === null || !knows) throw unavailable(failure?.thrown)
      return keys
    },
    holds(found) {
      if (age() > FRESH_MS) void refresh()
      return found === keys && usable()
    },
  }
}

function unavailable(cause: unknown): GatewayError {
  return new GatewayError('dependency_unavailable', 'Tokens cannot be checked at the moment. Please try again.', {
    retryAfterMs: RETRY_MS,
    cause,
  })
}
