/** What an organisation's other systems are told of the fleet. */
export const EVENT_TYPES = [
  'server_registered',
  'server_departed',
  'health_status_changed',
  'load_threshold_exceeded',
  'failover_initiated',
  'failover_completed',
  'cluster_rebalanced',
] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** Something that happened to the fleet. */
export interface FleetEvent {
  /** UUIDv7: in the order of time. */
  readonly id: string
  readonly type: EventType
  /** Epoch milliseconds. */
  readonly at: number
  /** The server that it is about; `null` = the fleet. */
  readonly server: string | null
  readonly data: Readonly<Record<string, unknown>>
}

/** An event that one process has seen, before it is known whether another one was first. */
export interface Observation {
  readonly event: FleetEvent
  /** What changes over time, such as the health of one server. Each change of it is one event. */
  readonly series: string
  /** What it has changed to, and what it was if nothing was ever recorded. */
  readonly state: string
  readonly initially: string
}

/** Keeps events; shared by all processes. Each may fail with any error: then the store is away. */
export interface EventStore {
  /** Keeps an event unless its series has that state already.
   *
   * @returns Whether it was kept: of all processes that saw it, one is told so. */
  add(observation: Observation): Promise<boolean>
  /** Remembers that a message came, by the id that its sender gave it.
   *
   * @returns False when it came before. */
  claim(source: string, id: string, at: number): Promise<boolean>
  /** Up to `limit` events, the oldest first, from behind the id `after`; the last ones where it is `null`. */
  list(page: { readonly after: string | null; readonly limit: number }): Promise<readonly FleetEvent[]>
}
