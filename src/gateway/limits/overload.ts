import { GatewayError } from '#core/errors.ts'
import type { Priority } from '#core/priority.ts'

/** The last measurements of the load of the process. */
export interface Pressure {
  /** How late the event loop is, as the 99th percentile of the last seconds, in milliseconds. */
  readonly lagMs: number
  /** Resident memory as a share of what the process may use, from 0 to 1. */
  readonly memory: number
}

/** Which new model calls are refused: none, those of low priority, or all. */
export type Overload = 'none' | 'low' | 'all'

const LAG_MS = 200
const MEMORY_LOW = 0.85
/** From this share of memory on, all new calls are refused. */
export const MEMORY_ALL = 0.92
/** From this share of memory on, readiness fails: the process would not survive more requests from a load balancer. */
const MEMORY_NOT_READY = 0.95
/** Bytes of memory that a call takes for each byte of its body: its text, the values read from it, and what is sent. About
 * 2.5 were measured. */
const HELD_PER_BYTE = 3
/** The wait that refused callers are told, in milliseconds: long enough for new measurements. */
const RETRY_MS = 5000

/** Derives from the load which calls are refused. A late event loop refuses only low priorities: processor time is
 * short, and refusing costs processor time, too. */
export function overloadOf({ lagMs, memory }: Pressure): Overload {
  if (memory >= MEMORY_ALL) return 'all'
  return memory >= MEMORY_LOW || lagMs > LAG_MS ? 'low' : 'none'
}

/** Why a new call is refused; `null` when it is not. Running calls always go on. */
export function refusalOf(overload: Overload, priority: Priority): GatewayError | null {
  if (overload === 'none' || (overload === 'low' && priority !== 'low')) return null
  return overloaded(overload === 'all' ? 'new calls' : 'calls of low priority')
}

/** Why the body of a call is not read to its end; `null` when it is. A slow body was admitted while there was memory,
 * and would go on to fill it. */
export function bodyRefusalOf(overload: Overload): GatewayError | null {
  return overload === 'all' ? overloaded('new calls', { connection: 'close' }) : null
}

/** How much memory a body will take, in bytes. */
export function heldFor(bodyBytes: number): number {
  return bodyBytes * HELD_PER_BYTE
}

/** Why a large body is not taken in; `null` when it is. Many that come together would fill the memory before it is
 * measured again.
 *
 * @param expected The share of memory in use once this body is held, and all that came since it was measured. */
export function roomRefusalOf(expected: number): GatewayError | null {
  return expected >= MEMORY_ALL ? overloaded('large bodies') : null
}

function overloaded(which: string, headers: Readonly<Record<string, string>> = {}): GatewayError {
  return new GatewayError('overloaded', `The gateway is overloaded and takes no ${which} now; try again shortly.`, {
    retryAfterMs: RETRY_MS,
    headers,
  })
}

/** Whether this process should get no more requests at all. */
export function isExhausted({ memory }: Pressure): boolean {
  return memory >= MEMORY_NOT_READY
}
