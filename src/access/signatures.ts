import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { type Replays, SIGNATURE_TOLERANCE_MS } from '#core/guards.ts'

/** The parts of a request that are signed, and its signature. */
export interface SignedRequest {
  readonly method: string
  /** The path with its query, as it was sent. */
  readonly path: string
  /** Milliseconds since the epoch, as the header has them; `null` when it is absent. */
  readonly timestamp: string | null
  /** `v1=` and the HMAC in hex, as the header has it; `null` when it is absent. */
  readonly signature: string | null
  readonly body: string
}

/** Signs a request: HMAC-SHA256 over method, path, timestamp and the SHA-256 of the body, a line each. */
function sign(secret: string, { method, path, timestamp, body }: SignedRequest): Buffer {
  const bodyHash = createHash('sha256').update(body).digest('hex')
  return createHmac('sha256', secret).update(`${method}\n${path}\n${timestamp}\n${bodyHash}`).digest()
}

/** Checks that a request was signed with a secret, within five minutes of now, and that the signature was not used
 * before.
 *
 * @returns The refusal, `invalid_signature`, or `null`. */
export async function checkSignature(
  request: SignedRequest,
  by: { readonly owner: string; readonly secret: string | null },
  deps: { readonly replays: Replays; readonly clock: Pick<Clock, 'time'> },
): Promise<GatewayError | null> {
  const { timestamp, signature } = request
  if (timestamp === null || signature === null)
    return invalid('This key needs signed requests: send x-citadel-timestamp and x-citadel-signature.')
  const time = /^\d{13}$/.test(timestamp) ? Number(timestamp) : Number.NaN
  if (!(Math.abs(deps.clock.time() - time) <= SIGNATURE_TOLERANCE_MS))
    return invalid('x-citadel-timestamp must be in milliseconds and within five minutes of now.')
  if (by.secret === null) return invalid('The signature does not fit the request.')
  const given = Buffer.from(/^v1=([0-9a-f]{64})$/i.exec(signature)?.[1] ?? '', 'hex')
  const expected = sign(by.secret, request)
  if (given.byteLength !== expected.byteLength || !timingSafeEqual(given, expected))
    return invalid('The signature does not fit the request.')
  if (!(await deps.replays.take(by.owner, expected.toString('hex'), time)))
    return invalid('A signature is good for one request only.')
  return null
}

function invalid(message: string): GatewayError {
  return new GatewayError('invalid_signature', message)
}
