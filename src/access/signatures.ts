import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'

/** How far a timestamp may be from the gateway's clock, either way, in milliseconds. */
const TOLERANCE_MS = 5 * 60_000
/** The signatures that are remembered for each key. */
const REMEMBERED_MAX = 10_000

/** What of a request is signed. */
export interface SignedRequest {
  readonly method: string
  /** As it was asked for, with its query. */
  readonly path: string
  /** Milliseconds since the epoch, as the header has them; `null` when it is absent. */
  readonly timestamp: string | null
  /** `v1=` and the HMAC in hex, as the header has it; `null` when it is absent. */
  readonly signature: string | null
  readonly body: string
}

/** Remembers signatures, so that each is good once. */
export interface Replays {
  /** Whether a signature is new; from now on it is not. */
  take(owner: string, signature: string, timestamp: number): boolean
}

interface Memory {
  /** Signatures and their timestamps, in the order in which they came. */
  readonly seen: Map<string, number>
  /** Nothing up to this timestamp is taken any more, because it may have been forgotten. */
  floor: number
}

/** Creates the memory of signatures. When a key has sent more within the tolerance than are remembered, the oldest are
 * forgotten, and with them every timestamp up to theirs: a request that comes late is refused, never one taken twice. */
export function createReplays(clock: Pick<Clock, 'time'>, rememberedMax: number = REMEMBERED_MAX): Replays {
  const memories = new Map<string, Memory>()
  return {
    take(owner, signature, timestamp) {
      const memory = memories.get(owner) ?? { seen: new Map<string, number>(), floor: 0 }
      memories.set(owner, memory)
      const { seen } = memory
      if (timestamp <= memory.floor || seen.has(signature)) return false
      for (const [old, at] of seen) {
        const expired = at < clock.time() - TOLERANCE_MS
        if (!expired && seen.size < rememberedMax) break
        seen.delete(old)
        memory.floor = Math.max(memory.floor, at)
      }
      if (timestamp <= memory.floor) return false
      seen.set(signature, timestamp)
      return true
    },
  }
}

/** Signs a request: HMAC-SHA256 over method, path, timestamp and the SHA-256 of the body, a line each. */
function sign(secret: string, { method, path, timestamp, body }: SignedRequest): Buffer {
  const bodyHash = createHash('sha256').update(body).digest('hex')
  return createHmac('sha256', secret).update(`${method}\n${path}\n${timestamp}\n${bodyHash}`).digest()
}

/** Checks that a request was signed with a secret, lately and for the first time.
 *
 * @returns The refusal, or `null`. */
export function checkSignature(
  request: SignedRequest,
  by: { readonly owner: string; readonly secret: string },
  deps: { readonly replays: Replays; readonly clock: Pick<Clock, 'time'> },
): GatewayError | null {
  const { timestamp, signature } = request
  if (timestamp === null || signature === null)
    return invalid('This key needs signed requests: send x-citadel-timestamp and x-citadel-signature.')
  const time = /^\d{13}$/.test(timestamp) ? Number(timestamp) : Number.NaN
  if (!(Math.abs(deps.clock.time() - time) <= TOLERANCE_MS))
    return invalid('x-citadel-timestamp must be in milliseconds and within five minutes of now.')
  const given = Buffer.from(/^v1=([0-9a-f]{64})$/i.exec(signature)?.[1] ?? '', 'hex')
  const expected = sign(by.secret, request)
  if (given.byteLength !== expected.byteLength || !timingSafeEqual(given, expected))
    return invalid('The signature does not fit the request.')
  if (!deps.replays.take(by.owner, expected.toString('hex'), time))
    return invalid('A signature is good for one request only.')
  return null
}

function invalid(message: string): GatewayError {
  return new GatewayError('invalid_signature', message)
}
