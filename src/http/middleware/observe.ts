import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Correction, Limiter } from '#core/limiter.ts'
import { type Active, restoreIdleTimeout } from '../active.ts'
import type { Exchange } from '../exchange.ts'

export interface Observers {
  readonly limiter: Limiter
  readonly journal: Journal
  readonly active: Active
  readonly clock: Clock
}

/** What a request took it has also used: only its leases come back. */
const NOTHING: Correction = { requests: 0, tokens: 0 }

/** Notes that a request has come. */
export function noteStart(exchange: Exchange, { journal, active }: Observers): void {
  active.add(exchange)
  journal.note({ type: 'request-started', record: exchange.record })
}

/** Notes that a request is over: its answer is written, and when it streams, its last event too. Its leases
 * are given back, and its connection is one like any other. */
export function noteEnd(exchange: Exchange, { journal, active, clock, limiter }: Observers): void {
  exchange.record.endedAt = clock.now()
  exchange.scope.close()
  restoreIdleTimeout(exchange)
  exchange.connection.done()
  active.remove(exchange)
  if (exchange.held !== null) limiter.settle(exchange.held, NOTHING, exchange.record.id)
  journal.note({ type: 'request-settled', record: exchange.record })
}
