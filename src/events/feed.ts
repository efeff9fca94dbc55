import type { Clock } from '#core/clock.ts'
import type { EventStore, FleetEvent, Observation } from '#core/events.ts'
import type { Journal } from '#core/journal.ts'
import { createSeen } from '#lib/seen.ts'

/** What this process has seen happen, without the id that it gets. */
export type Seen = Omit<Observation, 'event'> & { readonly event: Omit<FleetEvent, 'id' | 'at'> }

/** The events of the fleet: those that this process sees go to the store, and all that are stored to who follows. */
export interface Feed {
  /** Takes what was seen; returns at once. */
  observe(seen: Seen): void
  /** Calls `listener` with every event from now on, in the order of their ids as far as they are known; the returned
   * function ends that. */
  follow(listener: (event: FleetEvent) => void): () => void
  /** A page of stored events from behind an id.
   *
   * @throws Error when the store is away. */
  since(after: string, limit: number): Promise<readonly FleetEvent[]>
  stop(): void
}

export interface FeedOptions {
  readonly store: EventStore
  readonly clock: Clock
  readonly journal: Journal
  readonly newId: (time: number) => string
  /** Whether other processes may keep events too, so that they are looked for while anybody follows. */
  readonly shared: boolean
}

/** Observations that wait while the store is away; more are forgotten, the oldest first. */
const WAITING_MAX = 1000
const AGAIN_MS = 1000
const LOOK_EVERY_MS = 1000
/** How far back others' events are looked for: their clocks and their writing may be late by so much. */
const LATE_MS = 10_000
const PAGE = 200
const SEEN_MAX = 10_000

/** Creates the feed. Observations are kept one after the other, in the order in which they were made. */
export function createFeed(options: FeedOptions): Feed {
  const { store, clock, journal } = options
  const followers = new Set<(event: FleetEvent) => void>()
  const isNew = createSeen(SEEN_MAX)
  const waiting: Observation[] = []
  let keeping = false
  let lastAt = 0
  let stopped = false
  let stopLooking: (() => void) | null = null
  let stopWaiting = () => {}

  function tell(event: FleetEvent): void {
    if (!isNew(event.id)) return
    for (const follower of [...followers]) follower(event)
  }

  async function keepAll(): Promise<void> {
    if (keeping || stopped) return
    keeping = true
    try {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const kept = await store.add(next)
        waiting.splice(waiting.indexOf(next), 1)
        if (!kept) continue
        journal.note({ type: 'event-kept', event: next.event })
        tell(next.event)
      }
    } catch {
      stopWaiting = clock.after(AGAIN_MS, () => void keepAll())
    } finally {
      keeping = false
    }
  }

  async function look(): Promise<void> {
    try {
      for (const event of await store.list({ after: floorOf(clock.time() - LATE_MS), limit: PAGE })) tell(event)
    } catch {
      // Asked again in a second.
    }
    if (stopLooking !== null) stopLooking = clock.after(LOOK_EVERY_MS, () => void look())
  }

  return {
    observe({ event, ...change }) {
      if (waiting.length >= WAITING_MAX) waiting.shift()
      // Ids of one millisecond have no order, and who follows comes back with the last one.
      lastAt = Math.max(lastAt + 1, Math.floor(clock.time()))
      const at = lastAt
      waiting.push({ ...change, event: { ...event, id: options.newId(at), at } })
      void keepAll()
    },
    follow(listener) {
      followers.add(listener)
      if (options.shared) stopLooking ??= clock.after(LOOK_EVERY_MS, () => void look())
      return () => {
        followers.delete(listener)
        if (followers.size > 0) return
        stopLooking?.()
        stopLooking = null
      }
    },
    since: (after, limit) => store.list({ after, limit }),
    stop() {
      stopped = true
      followers.clear()
      stopLooking?.()
      stopLooking = null
      stopWaiting()
    },
  }
}

/** The smallest UUIDv7 of a moment. */
function floorOf(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-`
}
