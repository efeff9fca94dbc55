import type { Clock } from '#core/clock.ts'
import { type Consequence, type EventStore, type FleetEvent, firstIdAt, type Observation } from '#core/events.ts'
import type { Journal } from '#core/journal.ts'

/** A change that this process has observed, before the feed adds the time. */
export type NewObservation = Omit<Observation, 'event'> & { readonly event: Omit<FleetEvent, 'id' | 'at'> }

/** Computes what follows from a change: gets the last stored event of each series of type `of`. */
export type NewConsequence = Pick<Consequence, 'of'> & {
  readonly from: (last: readonly FleetEvent[]) => NewObservation
}

/** The events of the fleet. Observations of this process go to the store; stored events, of all processes, go to the
 * followers. */
export interface Feed {
  /** Queues observations for the store, and returns at once. The others are stored only if the first one is new: if no
   * other process has stored the same change before. */
  observe(seen: readonly NewObservation[], consequence?: NewConsequence): void
  /** Calls `listener` with every event from now on, in the order of their ids, until the returned function is called.
   * Events of up to ten seconds before may come too. */
  follow(listener: (event: FleetEvent) => void): () => void
  /** Reads a page of stored events with ids greater than `after`.
   *
   * @throws Error when the store does not answer. */
  since(after: string, limit: number): Promise<readonly FleetEvent[]>
  stop(): void
}

export interface FeedOptions {
  readonly store: Pick<EventStore, 'add' | 'list'>
  readonly clock: Clock
  readonly journal: Journal
  /** Whether other processes store events too; the store is then polled while there is a follower. */
  readonly shared: boolean
  /** Reads what other processes have changed in the registry; called before a consequence is computed. */
  readonly refresh?: () => Promise<void>
}

/** How many observations wait while the store does not answer; the oldest are dropped first. */
const WAITING_MAX = 1000
const AGAIN_MS = 1000
const LOOK_EVERY_MS = 1000
/** How far back a new follower begins, in milliseconds: the clocks of other processes may be late by so much. */
const LATE_MS = 10_000
const PAGE = 200

/** Creates the feed. Observations are stored one after the other, in the order in which they were made. */
export function createFeed(options: FeedOptions): Feed {
  const { store, clock, journal } = options
  const followers = new Set<(event: FleetEvent) => void>()
  const waiting: Parameters<EventStore['add']>[] = []
  let keeping = false
  let stopped = false
  let stopWaiting = () => {}
  let lastSent = ''
  let looking = false
  let lookAgain = false
  let stopLooking = () => {}

  async function keepAll(): Promise<void> {
    if (keeping || stopped) return
    keeping = true
    try {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        if (next[1] !== undefined) await options.refresh?.()
        const kept = await store.add(...next)
        // It may have been dropped meanwhile to make room for newer ones.
        if (waiting[0] === next) waiting.shift()
        for (const event of kept) journal.note({ type: 'event-kept', event })
        if (kept.length > 0) void look()
      }
    } catch {
      stopWaiting()
      stopWaiting = clock.after(AGAIN_MS, () => void keepAll())
    } finally {
      keeping = false
    }
  }

  /** Gives the followers all events that any process has stored since the last time. */
  async function look(): Promise<void> {
    lookAgain = true
    if (looking || followers.size === 0) return
    looking = true
    stopLooking()
    try {
      while (lookAgain) {
        lookAgain = false
        const page = await store.list({ after: lastSent, limit: PAGE })
        for (const event of page) send(event)
        if (page.length === PAGE) lookAgain = true
      }
    } catch {
      // `later` asks again in a second, also where no other process could add anything.
      lookAgain = true
    } finally {
      looking = false
    }
    later()
  }

  function later(): void {
    stopLooking()
    if (followers.size > 0 && (options.shared || lookAgain)) stopLooking = clock.after(LOOK_EVERY_MS, () => void look())
  }

  function send(event: FleetEvent): void {
    lastSent = event.id
    for (const follower of [...followers]) follower(event)
  }

  return {
    observe(seen, consequence) {
      if (waiting.length >= WAITING_MAX) waiting.shift()
      const at = clock.time()
      const timed = ({ event, ...change }: NewObservation): Observation => ({ ...change, event: { ...event, at } })
      const follows = consequence && {
        of: consequence.of,
        from: (last: readonly FleetEvent[]) => timed(consequence.from(last)),
      }
      waiting.push([seen.map(timed), follows])
      void keepAll()
    },
    follow(listener) {
      const from = firstIdAt(clock.time() - LATE_MS)
      if (followers.size === 0 && lastSent < from) lastSent = from
      followers.add(listener)
      if (followers.size === 1) later()
      return () => {
        followers.delete(listener)
        if (followers.size === 0) stopLooking()
      }
    },
    since: (after, limit) => store.list({ after, limit }),
    stop() {
      stopped = true
      followers.clear()
      stopLooking()
      stopWaiting()
    },
  }
}
