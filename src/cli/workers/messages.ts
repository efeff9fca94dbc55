import type { AuthMode } from '#access/keys.ts'
import type { News } from '#core/crew.ts'
import type { FleetReport } from '#src/compose/report.ts'
import type { Settled } from '../options.ts'

/** What one worker is given to start with. */
export interface Seat {
  readonly host: string
  readonly port: number
  /** The port of the metrics; `null` = none. */
  readonly metricsPort: number | null
  /** How many workers there are meant to be. */
  readonly size: number
  /** Where what they share is, and the number of this one in it. */
  readonly folder: string
  readonly place: number
  /** Unique over all workers that there ever are. */
  readonly name: string
}

/** What came of reading the configuration again. */
export type Reloaded =
  | { readonly ok: true; readonly warnings: readonly string[]; readonly restart: readonly string[] }
  | { readonly ok: false; readonly details: readonly { readonly path: string; readonly message: string }[] }

/** What the supervisor tells a worker. */
export type Order =
  | {
      readonly type: 'start'
      readonly seat: Seat
      readonly settled: Settled
      /** Whether it does what is to be done once for all. */
      readonly leads: boolean
      /** Whether others serve meanwhile, so that it may look around before it takes requests. */
      readonly patient: boolean
      /** What the others have told, as far as it still holds. */
      readonly news: readonly News[]
    }
  /** A configuration that is known to be right. */
  | { readonly type: 'reload'; readonly settled: Settled }
  | { readonly type: 'reload-failed'; readonly message: string }
  /** The answer to a worker that asked for it. */
  | { readonly type: 'reloaded'; readonly id: number; readonly reloaded: Reloaded }
  | { readonly type: 'news'; readonly news: News | { readonly type: 'lead' } }
  /** Say what only the first start says. */
  | { readonly type: 'greet' }
  /** Another one has its place: finish what is under way. */
  | { readonly type: 'leave' }
  | { readonly type: 'stop'; readonly delayMs: number }
  | { readonly type: 'hurry' }

/** What a worker tells the supervisor. */
export type Report =
  | Ready
  | { readonly type: 'failed'; readonly message: string; readonly status: number }
  | { readonly type: 'news'; readonly news: News }
  | { readonly type: 'reload'; readonly id: number }
  /** It has answered as many requests as one worker is to answer. */
  | { readonly type: 'spent' }

/** It serves. */
export interface Ready {
  readonly type: 'ready'
  readonly url: string
  readonly found: FleetReport
  readonly authMode: AuthMode
}
