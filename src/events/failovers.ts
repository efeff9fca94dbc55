import type { Clock } from '#core/clock.ts'
import type { EventStore, InFlightStore } from '#core/events.ts'
import type { Fact } from '#core/journal.ts'
import type { NewObservation } from './feed.ts'
import { completed } from './observer.ts'

export interface FailoversOptions {
  readonly clock: Clock
  readonly events: Pick<EventStore, 'open'>
  readonly inFlightStore: InFlightStore
  /** The name of this process. */
  readonly owner: string
  /** Whether other processes may have requests at the same servers. */
  readonly shared: boolean
  /** How many requests this process has in flight at a server. */
  readonly inFlight: (server: string) => number
  /** Takes the events that complete failovers. */
  readonly observe: (seen: readonly NewObservation[]) => void
}

/** Follows the failovers of all processes until they are complete. */
export interface Failovers {
  start(): void
  subscriber(fact: Fact): void
  /** How long the failover of a server has been going on, in milliseconds; `null` = none is known. */
  since(server: string): number | null
  stop(): void
}

/** How often the store is asked for failovers of other processes, while none is known. */
const LOOK_EVERY_MS = 2000
/** How often open failovers are checked; four times as long where the store is shared. */
const OPEN_LOOK_MS = 250
/** How long a process's record of requests in flight is valid. A process that has not renewed it for so long is taken
 * for dead, and its requests for ended. */
const MARK_MS = 10_000
/** A failover is not completed before this time has passed, so that every process has had time to record the requests it has
 * there. */
const SETTLE_MS = 5000

/** Creates the watch over failovers. A failover is complete when no process has a request at the server any more. The
 * first process to see that records it, because the one that began the failover may be dead. */
export function createFailovers(options: FailoversOptions): Failovers {
  const { clock, events, inFlightStore, owner, shared } = options
  const settleMs = shared ? SETTLE_MS : 0
  let open: ReadonlyMap<string, number> = new Map()
  const marked = new Set<string>()
  let looking = false
  let again = false
  let stopped = false
  let disarm = () => {}

  async function follow(server: string, startedAt: number): Promise<void> {
    const now = clock.time()
    if (options.inFlight(server) > 0) {
      marked.add(server)
      if (shared) await inFlightStore.mark(server, owner, now + MARK_MS)
      return
    }
    await unmark(server)
    const ms = now - startedAt
    // After the clock was set back `ms` is negative and the true age unknown: a large difference counts as old enough.
    if (Math.abs(ms) < settleMs || (await inFlightStore.hasAny(server, now))) return
    options.observe([completed(server, 'drained', Math.max(0, ms))])
  }

  async function unmark(server: string): Promise<void> {
    if (!marked.has(server)) return
    if (shared) await inFlightStore.mark(server, owner, 0)
    marked.delete(server)
  }

  async function look(): Promise<void> {
    again = true
    if (looking) return
    looking = true
    disarm()
    while (again) {
      again = false
      await round()
    }
    looking = false
    later()
  }

  async function round(): Promise<void> {
    try {
      const begun = await events.open()
      open = new Map(begun.flatMap(({ server, at }) => (server === null ? [] : [[server, at] as const])))
      for (const [server, at] of open) await follow(server, at)
      for (const server of marked) if (!open.has(server)) await unmark(server)
    } catch {
      // The next look finds out whether the store is back.
    }
  }

  function later(): void {
    disarm()
    if (stopped || (open.size === 0 && !shared)) return
    disarm = clock.after(open.size === 0 ? LOOK_EVERY_MS : OPEN_LOOK_MS * (shared ? 4 : 1), () => void look())
  }

  return {
    start: later,
    subscriber(fact) {
      if (fact.type === 'event-kept' && fact.event.type === 'failover_initiated') void look()
    },
    since(server) {
      const startedAt = open.get(server)
      return startedAt === undefined ? null : Math.max(0, clock.time() - startedAt)
    },
    stop() {
      stopped = true
      disarm()
    },
  }
}
