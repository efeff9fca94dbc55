import type { Clock } from '#core/clock.ts'
import type { News } from '#core/crew.ts'
import { createInTurn } from '#lib/in-turn.ts'
import type { Log } from '#telemetry/log.ts'
import { createLatest } from './latest.ts'
import { createLead } from './lead.ts'
import { Member, type MemberWatch, type Spawn, type Worker } from './member.ts'
import type { Order, Ready, Report } from './messages.ts'
import { watchPulses } from './pulse.ts'

/** The pause before a worker that died is started again, in milliseconds: the first, and the longest. It doubles with
 * each death in a row. */
const RESTART_MS = 100
const RESTART_MS_MAX = 30_000
/** The death of a worker that has served for so long does not count as one in a row, in milliseconds. */
const HEALTHY_MS = 60_000
/** How long a worker may take to start before it is killed, in milliseconds. */
const START_MS = 60_000
const AGE_SPREAD = 0.1
/** A worker that ends is killed this long after its own time limit, in milliseconds. */
const GRACE_MS = 30_000
/** The longest delay of a timer, in milliseconds; the runtime fires a timer with a longer one at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

export interface WorkersOptions {
  readonly size: number
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly random: () => number
  /** How long a worker serves before it is replaced, in milliseconds; `null` = for ever. */
  readonly maxAgeMs: () => number | null
  /** When a worker ends, how long it goes on serving (`delayMs`), and then finishes running requests (`timeoutMs`). */
  readonly drain: () => { readonly delayMs: number; readonly timeoutMs: number }
  readonly spawn: Spawn
  /** Called when a worker has ended, to free what it held in shared memory and to keep its counters. */
  readonly ended: (worker: Worker) => void
  /** Called with the reports that are not handled here. */
  readonly onReport: (report: Report, send: (order: Order) => void) => void
  /** Logs starts, deaths and replacements of workers. */
  readonly log: Pick<Log, 'info' | 'warn'>
}

/** The worker processes of a gateway: starts them, and replaces those that die or have served for long enough. */
export interface Workers {
  /** Starts all workers.
   *
   * @returns Their reports when all are ready.
   * @throws CommandFailed when one of them cannot start; the others are then killed. */
  start(): Promise<readonly Ready[]>
  /** Replaces all workers, one after the other, without interrupting service (a rolling restart). Stops at the first that
   * cannot be replaced.
   *
   * @returns Whether all were replaced. */
  roll(): Promise<boolean>
  /** Sends an order to all workers, or only to the leader. */
  tell(order: Order, whom?: 'all' | 'leader'): void
  /** Stops all workers; when called again, without waiting. Workers that do not end in time are killed. */
  stop(delayMs: number): void
  /** Resolves when all have ended after `stop`. */
  readonly ended: Promise<void>
}

/** Creates the workers; none runs yet. */
export function createWorkers(options: WorkersOptions): Workers {
  return new WorkerPool(options)
}

class WorkerPool implements Workers, MemberWatch {
  readonly ended: Promise<void>
  private readonly options: WorkersOptions
  private readonly members = new Set<Member>()
  private readonly lead = createLead(this.members)
  private readonly latest = createLatest()
  private readonly cancels = new Set<() => void>()
  private readonly allEnded: () => void
  private stopping = false
  private readonly inTurn = createInTurn()

  constructor(options: WorkersOptions) {
    this.options = options
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.allEnded = resolve
    watchPulses(this.members, options.clock, member => {
      options.log.warn('a worker answers nothing; it is ended', { worker: member.pid })
      member.kill()
    })
  }

  async start(): Promise<readonly Ready[]> {
    const started = await Promise.all(Array.from({ length: this.options.size }, () => this.spawn(0).started))
    const failure = started.find(each => each.failure !== null)?.failure
    if (failure != null && !this.stopping) {
      this.kill()
      throw failure
    }
    return started.flatMap(({ ready }) => ready ?? [])
  }

  roll(): Promise<boolean> {
    return this.inTurn(async () => {
      for (const member of [...this.members]) {
        // A worker that is still starting may have been given the old configuration: wait for it, then replace it too.
        await member.started
        if (member.state === 'serving' && !(await this.replace(member))) return false
      }
      return true
    })
  }

  tell(order: Order, whom: 'all' | 'leader' = 'all'): void {
    this.lead.note(order)
    if (whom === 'leader') this.lead.tell(order)
    else for (const member of this.members) member.send(order)
  }

  stop(delayMs: number): void {
    const hurry = this.stopping
    this.stopping = true
    for (const cancel of this.cancels) cancel()
    this.tell(hurry ? { type: 'hurry' } : { type: 'stop', delayMs })
    this.after((hurry ? 0 : delayMs + this.options.drain().timeoutMs) + GRACE_MS, () => this.kill())
    if (this.members.size === 0) this.allEnded()
  }

  private kill(): void {
    this.stopping = true
    for (const member of this.members) member.kill()
  }

  private spawn(failures: number): Member {
    const { clock, spawn } = this.options
    const member = new Member({ place: this.freePlace(), name: crypto.randomUUID() }, failures)
    member.disarm = clock.after(START_MS, () => member.kill())
    this.members.add(member)
    const patient = [...this.members].some(({ state }) => state === 'serving')
    member.start(spawn, { leads: this.lead.isTakenBy(member), patient, news: this.latest.all() }, this)
    this.lead.instruct(member)
    return member
  }

  onReady(member: Member): void {
    const { clock, random, maxAgeMs, log } = this.options
    if (member.state === 'starting') member.state = 'serving'
    this.lead.fill()
    log.info('a worker serves', { worker: member.pid })
    member.servesSince = clock.now()
    member.disarm()
    const age = maxAgeMs()
    if (age === null) return
    // Spread out, because all workers were started at the same time.
    const after = age * (1 + AGE_SPREAD * (2 * random() - 1))
    member.disarm = this.after(after, () => void this.renew(member))
  }

  onReport(member: Member, report: Report): void {
    if (report.type === 'news') this.pass(member, report.news)
    else if (report.type === 'spent') void this.renew(member)
    else if (report.type !== 'pulse') this.options.onReport(report, order => member.send(order))
  }

  private pass(from: Member, news: News): void {
    this.latest.note(news)
    for (const member of this.members) if (member !== from) member.send({ type: 'news', news })
  }

  onExit(member: Member, how: string): void {
    const { clock, log } = this.options
    this.members.delete(member)
    member.disarm()
    this.options.ended(member)
    if (this.stopping) {
      if (this.members.size === 0) this.allEnded()
      return
    }
    this.pass(member, { type: 'worker-ended', worker: member.name })
    this.lead.pass(member)
    if (member.state !== 'serving') return
    log.warn('a worker ended; another one is started', { worker: member.pid, how })
    if (member.replaced) return
    const isHealthy = clock.now() - member.servesSince >= HEALTHY_MS
    this.refill(isHealthy ? 0 : member.failures)
  }

  /** Starts a worker in place of one that died, and tries again until one serves. */
  private refill(failures: number): void {
    const wait = Math.min(RESTART_MS_MAX, RESTART_MS * 2 ** failures)
    const cancel = this.options.clock.after(wait, () => {
      this.cancels.delete(cancel)
      void this.spawn(failures + 1).started.then(({ failure }) => {
        if (failure === null || this.stopping) return
        this.options.log.warn('a worker could not start', { why: failure.message })
        this.refill(failures + 1)
      })
    })
    this.cancels.add(cancel)
  }

  /** Replaces a worker that has served for long enough, and tries again until its successor serves. */
  private async renew(member: Member): Promise<void> {
    const isOver = await this.inTurn(() => this.replace(member))
    if (isOver || this.stopping || !this.members.has(member)) return
    member.disarm()
    member.disarm = this.options.clock.after(RESTART_MS_MAX, () => void this.renew(member))
  }

  /** Starts a successor of a worker, and lets the old one leave once the successor serves.
   *
   * @returns False when the successor could not start: the old worker stays. */
  private async replace(old: Member): Promise<boolean> {
    if (this.stopping || old.state !== 'serving' || !this.members.has(old)) return true
    old.replaced = true
    const { failure } = await this.spawn(0).started
    old.replaced = false
    if (failure !== null) {
      if (!this.stopping) this.options.log.warn('a worker was not replaced', { why: failure.message })
      // The old worker died meanwhile and was not restarted, because it was being replaced.
      if (!this.stopping && !this.members.has(old)) this.refill(0)
      return false
    }
    old.state = 'leaving'
    old.disarm()
    this.lead.pass(old)
    old.send({ type: 'leave' })
    const { delayMs, timeoutMs } = this.options.drain()
    // Kill it if it hangs. `timeoutMs` counts twice: the worker waits for running requests, and again when it stops.
    old.disarm = this.after(delayMs + 2 * timeoutMs + GRACE_MS, () => old.kill())
    return true
  }

  private after(ms: number, run: () => void): () => void {
    return this.options.clock.after(Math.min(ms, TIMER_MS_MAX), run)
  }

  /** The lowest free place number; 1 is the supervisor's. */
  private freePlace(): number {
    const taken = new Set([...this.members].map(({ place }) => place))
    let place = 2
    while (taken.has(place)) place++
    return place
  }
}
