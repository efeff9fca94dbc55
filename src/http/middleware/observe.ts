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

/** The tokens and requests that were taken from the buckets stay taken; only leases are given back. */
const NOTHING: Correction = { requests: 0, tokens: 0 }

/** Records the start of a request in the journal and in the list of active ones. */
export function noteStart(exchange: Exchange, { journal, active }: Observers): void {
  active.add(exchange)
  journal.note({ type: 'request-started', record: exchange.record })
}

/** Records the end of a request, after the last byte of its answer is written. Closes its scope, gives back its leases,
 * and restores the idle timeout of its connection. */
export function noteEnd(exchange: Exchange, { journal, active, clock, limiter }: Observers): void {
  exchange.record.endedAt = clock.now()
  exchange.scope.close()
  restoreIdleTimeout(exchange)
  exchange.connection.done()
  active.remove(exchange)
  if (exchange.held !== null) limiter.settle(exchange.held, NOTHING, exchange.record.id)
  journal.note({ type: 'request-settled', record: exchange.record })
}
