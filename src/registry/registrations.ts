import type { Clock } from '#core/clock.ts'
import type { ServerChange, ServerChanged, ServerRecord, ServerStore } from '#core/registry.ts'

/** What was said of servers at run time, as this process knows it. */
export interface Registrations {
  /** By id, as it was last read. */
  current(): ReadonlyMap<string, ServerRecord>
  /** Makes a change; it holds in this process at once, in the others with their next look.
   *
   * @returns What it did; `null` when there was nothing to change.
   * @throws Error when the store is away. */
  change(change: ServerChange): Promise<ServerChanged | null>
  /** Looks for the changes of other processes now.
   *
   * @throws Error when the store is away. */
  refresh(): Promise<void>
  /** Begins to look for the changes of other processes, and for servers that have fallen silent.
   *
   * @returns Resolves after the first look. */
  start(): Promise<void>
  stop(): void
}

export interface RegistrationsOptions {
  readonly store: ServerStore
  readonly clock: Clock
  /** How long a server may give no sign of life, in milliseconds. */
  readonly silenceMs: () => number
  /** Whether the configuration has taken over the id: its server owes no signs of life, and keeps what was said of it. */
  readonly isTakenOver: (id: string) => boolean
  /** Told whenever what is known has changed. */
  readonly onChange: (records: ReadonlyMap<string, ServerRecord>) => void
  /** Told of a server that has fallen silent and is removed: in one of all processes. */
  readonly onDeparted: (record: ServerRecord) => void
}

const LOOK_EVERY_MS = 2000
/** After a longer time without a good look, signs of life may have been in vain. */
const GAP_MAX_MS = 10_000

/** Creates the view of the registry. While the store is away, what was known last goes on. */
export function createRegistrations(options: RegistrationsOptions): Registrations {
  const { store, clock } = options
  // After a long stop of the gateway or of the store, servers get the time to be heard of again.
  let openedAt = clock.time()
  let wellAt = openedAt
  let records: ReadonlyMap<string, ServerRecord> = new Map()
  let seen = ''
  /** Looks that have begun, and the latest of them that was answered. */
  let looks = 0
  let answered = 0
  let stopped = false
  let disarm = () => {}

  async function look(): Promise<void> {
    const number = ++looks
    const list = await store.list()
    // One that began later may have been answered before, and knows more.
    if (number < answered) return
    answered = number
    records = new Map(list.map(record => [record.id, record]))
    const now = JSON.stringify(list)
    if (now === seen) return
    seen = now
    options.onChange(records)
  }

  async function removeSilent(): Promise<void> {
    const at = clock.time()
    // Also when the clock was set back, or what opened then would be to come.
    if (at - wellAt > GAP_MAX_MS || at < wellAt) openedAt = at
    const silentSince = at - options.silenceMs()
    for (const record of records.values()) {
      if (record.origin !== 'registered' || options.isTakenOver(record.id)) continue
      if (Math.max(record.heartbeatAt, openedAt) > silentSince) continue
      const changed = await store.change({ kind: 'remove', id: record.id, at, silentSince })
      if (changed === null) continue
      await look()
      options.onDeparted(record)
    }
    wellAt = at
  }

  async function turn(): Promise<void> {
    try {
      await look()
      await removeSilent()
    } catch {
      // The next look finds out whether the store is back.
    }
    if (!stopped) disarm = clock.after(LOOK_EVERY_MS, () => void turn())
  }

  return {
    current: () => records,
    async change(change) {
      const changed = await store.change(change)
      await look()
      return changed
    },
    refresh: look,
    start: turn,
    stop() {
      stopped = true
      disarm()
    },
  }
}
