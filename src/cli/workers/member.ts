import type { Order } from './messages.ts'

/** The process of a worker, as far as the supervisor uses it. */
export interface WorkerProcess {
  readonly pid: number
  send(order: Order): void
  kill(): void
}

/** The identity of a worker: its place number in the shared memory, and a name that is never used again. */
export interface Worker {
  readonly place: number
  readonly name: string
}

/** The state of a worker, from its start to its end. */
export interface Member extends Worker {
  state: 'starting' | 'serving' | 'leaving'
  /** Resolves when it serves, or has ended before it did. */
  readonly started: Promise<unknown>
  /** How many of its predecessors died in a row. */
  readonly failures: number
  /** Since when it serves, in monotonic milliseconds. */
  servesSince: number
  /** Whether its successor is being started. */
  replaced: boolean
  process: WorkerProcess | null
  /** How many times in a row it was asked whether it runs, and did not answer. */
  missed: number
  /** Cancels its timer, which kills or replaces it. */
  disarm: () => void
}
