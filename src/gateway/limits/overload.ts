import { GatewayError } from '#core/errors.ts'
import type { Priority } from '#core/priority.ts'

/** How hard the process has it, as it was last measured. */
export interface Pressure {
  /** How late the event loop turned, 99th percentile of the last seconds, in milliseconds. */
  readonly lagMs: number
  /** Resident memory as a share of what the process may use. */
  readonly memory: number
}

/** Which new model calls are refused: none, those of low priority, or all. */
export type Overload = 'none' | 'low' | 'all'

const LAG_MS = 200
const MEMORY_LOW = 0.85
const MEMORY_ALL = 0.92
/** From here on the process would not survive what a balancer still sends. */
const MEMORY_NOT_READY = 0.95
/** Long enough for the measured seconds to pass, in milliseconds. */
const RETRY_MS = 5000

/** What follows from the pressure. A late event loop refuses low priorities only: it is late for want of processor
 * time, and what is refused costs that too. */
export function overloadOf({ lagMs, memory }: Pressure): Overload {
  if (memory >= MEMORY_ALL) return 'all'
  return memory >= MEMORY_LOW || lagMs > LAG_MS ? 'low' : 'none'
}

/** Why a new call is refused; `null` when it is not. What is under way goes on in any case. */
export function refusalOf(overload: Overload, priority: Priority): GatewayError | null {
  if (overload === 'none' || (overload === 'low' && priority !== 'low')) return null
  return overloaded(overload === 'all' ? 'new calls' : 'calls of low priority')
}

/** Why no more is read of a call that is not whole yet; `null` while it is. Bodies that come slowly were let in when there
 * was room, and would go on to fill the memory. */
export function bodyRefusalOf(overload: Overload): GatewayError | null {
  return overload === 'all' ? overloaded('new calls', { connection: 'close' }) : null
}

function overloaded(which: string, headers: Readonly<Record<string, string>> = {}): GatewayError {
  return new GatewayError('overloaded', `The gateway is overloaded and takes no ${which} now; try again shortly.`, {
    retryAfterMs: RETRY_MS,
    headers,
  })
}

/** Whether no more requests should be sent here at all. */
export function isExhausted({ memory }: Pressure): boolean {
  return memory >= MEMORY_NOT_READY
}
