import type { News } from '#core/crew.ts'
import { CommandFailed, EXIT } from '../output.ts'
import type { Order, Ready, Report } from './messages.ts'

/** The process of a worker, as far as the supervisor uses it. */
export interface WorkerProcess {
  readonly pid: number
  send(order: Order): void
  kill(): void
}

/** The identity of a worker: its place number in the shared memory, and a name that is never used again anywhere. */
export interface Worker {
  readonly place: number
  readonly name: string
}

/** Starts the process of a worker, and gives it its first order. */
export type Spawn = (
  worker: Worker,
  first: { readonly leads: boolean; readonly patient: boolean; readonly news: readonly News[] },
  listener: { report(report: Report): void; exit(how: string): void },
) => WorkerProcess

/** The result of a start. */
export type Started =
  | { readonly ready: Ready; readonly failure: null }
  | { readonly ready: null; readonly failure: CommandFailed }

/** Told how a worker is. */
export interface MemberWatch {
  onReady(member: Member): void
  onReport(member: Member, report: Report): void
  onExit(member: Member, how: string): void
}

/** A worker, from its start to its end. */
export class Member implements Worker {
  readonly place: number
  readonly name: string
  /** How many of its predecessors died in a row. */
  readonly failures: number
  /** Resolves when it serves, or has ended before it did. */
  readonly started: Promise<Started>
  state: 'starting' | 'serving' | 'leaving' = 'starting'
  /** Since when it serves, in monotonic milliseconds. */
  servesSince = 0
  /** Whether its successor is being started. */
  replaced = false
  /** How many times in a row it was asked whether it runs, and did not answer. */
  missed = 0
  /** Cancels its timer, which kills or replaces it. */
  disarm: () => void = () => {}
  private process: WorkerProcess | null = null
  private readonly settle: (started: Started) => void

  constructor({ place, name }: Worker, failures: number) {
    this.place = place
    this.name = name
    this.failures = failures
    const { promise, resolve } = Promise.withResolvers<Started>()
    this.started = promise
    this.settle = resolve
  }

  /** Its process id; 0 where no process could be started. */
  get pid(): number {
    return this.process?.pid ?? 0
  }

  start(spawn: Spawn, first: Parameters<Spawn>[1], watch: MemberWatch): void {
    let failure = new CommandFailed('a worker ended while it started', EXIT.failure)
    const report = (report: Report) => {
      this.missed = 0
      if (report.type === 'ready') {
        watch.onReady(this)
        this.settle({ ready: report, failure: null })
      } else if (report.type === 'failed') failure = new CommandFailed(report.message, report.status)
      else watch.onReport(this, report)
    }
    const exit = (how: string) => {
      watch.onExit(this, how)
      this.settle({ ready: null, failure })
    }
    try {
      this.process = spawn(this, first, { report, exit })
    } catch (thrown) {
      // The system is out of processes, or the program file is being replaced: temporary, and tried again.
      failure = new CommandFailed(`no process could be started for it: ${thrown}`, EXIT.failure)
      exit('before it began')
    }
  }

  send(order: Order): void {
    this.process?.send(order)
  }

  kill(): void {
    this.process?.kill()
  }
}
