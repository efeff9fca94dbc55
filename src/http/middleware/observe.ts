import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Active } from '../active.ts'
import type { Exchange } from '../exchange.ts'

export interface Observers {
  readonly journal: Journal
  readonly active: Active
  readonly clock: Clock
}

/** Notes that a request has come. */
export function opened(exchange: Exchange, { journal, active }: Observers): void {
  active.add(exchange)
  journal.note({ type: 'request-started', record: exchange.record })
}

/** Notes that a request is over: its answer is written, and when it streams, its last event too. */
export function settled(exchange: Exchange, { journal, active, clock }: Observers): void {
  exchange.record.endedAt = clock.now()
  exchange.scope.close()
  active.remove(exchange)
  journal.note({ type: 'request-settled', record: exchange.record })
}
