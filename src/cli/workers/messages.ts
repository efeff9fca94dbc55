import type { AuthMode } from '#access/keys.ts'
import type { News } from '#core/crew.ts'
import type { FleetReport } from '#src/compose/report.ts'
import type { Settled } from '../options.ts'

/** The settings of one worker. */
export interface Seat {
  readonly host: string
  readonly port: number
  /** The port of the metrics; `null` = none. */
  readonly metricsPort: number | null
  /** The configured number of workers. */
  readonly size: number
  /** The folder of the memory and files that workers share. */
  readonly folder: string
  /** The place number of this worker in the shared memory. */
  readonly place: number
  /** Unique over all processes of all time. */
  readonly name: string
  /** For how long the supervisor has seen the wall clock not being set, in milliseconds. */
  readonly steadyMs: number
}

/** The result of a reload of the configuration. */
export type Reloaded =
  | { readonly ok: true; readonly warnings: readonly string[]; readonly restart: readonly string[] }
  | { readonly ok: false; readonly details: readonly { readonly path: string; readonly message: string }[] }

/** A message from the supervisor to a worker. */
export type Order =
  | {
      readonly type: 'start'
      readonly seat: Seat
      readonly settled: Settled
      /** Whether it is the leader, which does what only one worker may do. */
      readonly leads: boolean
      /** Whether other workers serve meanwhile, so that it may wait for its first probes before it takes requests. */
      readonly patient: boolean
      /** The latest news of each server from other workers. */
      readonly news: readonly News[]
    }
  /** A new configuration, already validated by the supervisor. */
  | { readonly type: 'reload'; readonly settled: Settled }
  | { readonly type: 'reload-failed'; readonly message: string }
  /** The answer to a worker's report `reload` with the same id. */
  | { readonly type: 'reloaded'; readonly id: number; readonly reloaded: Reloaded }
  | { readonly type: 'news'; readonly news: News | { readonly type: 'lead' } }
  /** Print what is printed at the first start only. */
  | { readonly type: 'greet' }
  /** A successor serves: finish running requests, then end. */
  | { readonly type: 'leave' }
  | { readonly type: 'stop'; readonly delayMs: number }
  | { readonly type: 'hurry' }
  /** Report that you run. */
  | { readonly type: 'pulse' }

/** A message from a worker to the supervisor. */
export type Report =
  | Ready
  | { readonly type: 'failed'; readonly message: string; readonly status: number }
  | { readonly type: 'news'; readonly news: News }
  | { readonly type: 'reload'; readonly id: number }
  /** It has answered `service.worker_max_requests` requests, and asks to be replaced. */
  | { readonly type: 'spent' }
  | { readonly type: 'pulse' }

/** The report of a worker that has begun to serve. */
export interface Ready {
  readonly type: 'ready'
  readonly url: string
  readonly found: FleetReport
  readonly authMode: AuthMode
}
