import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Exchange } from '../exchange.ts'

/** Notes that a request has come. */
export function opened(exchange: Exchange, journal: Journal): void {
  journal.note({ type: 'request-started', record: exchange.record })
}

/** Notes that a request is over: its answer is written, and when it streams, its last event too. */
export function settled(exchange: Exchange, journal: Journal, clock: Clock): void {
  exchange.record.endedAt = clock.now()
  exchange.scope.close()
  journal.note({ type: 'request-settled', record: exchange.record })
}
