import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import type { RequestRecord } from '#core/record.ts'
import { PassingSet } from '#lib/passing.ts'
import type { Exchange } from './exchange.ts'

/** After so many milliseconds without an answer the idle timeout of a connection is switched off: well before it would close
 * the connection, and late enough that ordinary calls never need it. */
const QUICK_MS = 10_000
/** How often the requests that are under way are looked through for such, in milliseconds. */
const LOOK_MS = 5_000

/** The requests that are under way: what a graceful end waits for. */
export interface Active {
  add(exchange: Exchange): void
  remove(exchange: Exchange): void
  /** The record of a request, as it stands. */
  find(id: string): RequestRecord | null
  /** How many there are. */
  readonly size: number
  /** Ends every request; streams say why in their last event. */
  cancelAll(cause: GatewayError): void
  /** Resolves when none is under way. */
  idle(): Promise<void>
}

/** Creates the list of requests that are under way. The connections of those that take long are kept from being closed
 * as idle: one timer looks after all of them. */
export function createActive(clock: Pick<Clock, 'now' | 'after'>): Active {
  const exchanges = new PassingSet<Exchange>()
  let waiting: (() => void)[] = []
  let looking = false

  function look(): void {
    looking = exchanges.size > 0
    if (!looking) return
    const since = clock.now() - QUICK_MS
    for (const exchange of exchanges) if (exchange.record.startedNow <= since) disableIdleTimeout(exchange)
    clock.after(LOOK_MS, look)
  }

  return {
    add(exchange) {
      exchanges.add(exchange)
      if (looking) return
      looking = true
      clock.after(LOOK_MS, look)
    },
    remove(exchange) {
      exchanges.delete(exchange)
      if (exchanges.size > 0 || waiting.length === 0) return
      const resolved = waiting
      waiting = []
      for (const resolve of resolved) resolve()
    },
    find(id) {
      for (const { record } of exchanges) if (record.id === id) return record
      return null
    },
    get size() {
      return exchanges.size
    },
    cancelAll(cause) {
      for (const { scope } of [...exchanges]) scope.cancel(cause)
    },
    idle: () => (exchanges.size === 0 ? Promise.resolve() : new Promise(resolve => waiting.push(resolve))),
  }
}

/** Keeps the runtime from closing a connection on which nothing is sent for long, until its request is over. */
export function disableIdleTimeout(exchange: Exchange): void {
  if (exchange.idleTimeoutDisabled) return
  exchange.idleTimeoutDisabled = true
  exchange.connection.idle(0)
}

/** Gives a connection its idle timeout back, once its answer is written. Only where it was switched off: while an answer is
 * waited for, the runtime counts no connection as idle whose timeout was never set. */
export function restoreIdleTimeout(exchange: Exchange): void {
  if (!exchange.idleTimeoutDisabled) return
  exchange.idleTimeoutDisabled = false
  exchange.connection.idle(exchange.edge.keepAliveSeconds)
}
