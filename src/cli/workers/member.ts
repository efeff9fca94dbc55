import type { Order } from './messages.ts'

/** The process of a worker. */
export interface Hired {
  readonly pid: number
  send(order: Order): void
  kill(): void
}

/** A worker as the supervisor knows it. */
export interface Worker {
  readonly place: number
  readonly name: string
}

/** A worker in its life, from its start to its end. */
export interface Member extends Worker {
  state: 'starting' | 'serving' | 'leaving'
  /** Resolves when it serves, or has ended before. */
  readonly started: Promise<unknown>
  /** Deaths in a row in this seat before it. */
  readonly failures: number
  servesSince: number
  /** Whether another one is being started in its place. */
  replaced: boolean
  hired: Hired | null
  /** Calls off what is to happen to it later. */
  disarm: () => void
}
