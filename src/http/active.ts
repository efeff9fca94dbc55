import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import type { RequestRecord } from '#core/record.ts'
import { PassingSet } from '#lib/passing.ts'
import type { Exchange } from './exchange.ts'

/** After this long without an answer a connection is told to bear the silence, in milliseconds: well within the time
 * after which the server would close it as idle, and long enough that ordinary calls never need to. */
const PATIENCE_MS = 10_000
const LOOK_MS = 5_000

/** The requests that are under way: what a graceful end waits for. */
export interface Active {
  add(exchange: Exchange): void
  remove(exchange: Exchange): void
  /** The record of a request, as it stands. */
  find(id: string): RequestRecord | null
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
    const since = clock.now() - PATIENCE_MS
    for (const exchange of exchanges) if (exchange.record.startedNow <= since) bearSilence(exchange)
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
    cancelAll(cause) {
      for (const { scope } of [...exchanges]) scope.cancel(cause)
    },
    idle: () => (exchanges.size === 0 ? Promise.resolve() : new Promise(resolve => waiting.push(resolve))),
  }
}

/** Keeps a connection open however long nothing is sent on it, until its request is over. */
export function bearSilence(exchange: Exchange): void {
  if (exchange.patient) return
  exchange.patient = true
  exchange.connection.idle(0)
}

/** Makes a connection that has borne a silence an ordinary one again. Not before the answer: while that is waited for, the
 * runtime takes no connection for idle that was never told how long it may be. */
export function bearNoSilence(exchange: Exchange): void {
  if (!exchange.patient) return
  exchange.patient = false
  exchange.connection.idle(exchange.edge.keepAliveSeconds)
}
