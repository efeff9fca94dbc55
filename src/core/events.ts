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
  /** UUIDv7: in the order in which events were kept. */
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
  readonly event: Omit<FleetEvent, 'id'>
  /** What changes over time, such as the health of one server. Each change of it is one event. */
  readonly series: string
  /** What it has changed to, and what it was if nothing was ever recorded. */
  readonly state: string
  readonly initially: string
  /** How far apart its events are at least, in milliseconds (default 0). */
  readonly apartMs?: number
}

/** Whether an event comes too soon behind the last one of its series. */
export function comesTooSoon({ event, apartMs = 0 }: Observation, lastAt: number): boolean {
  return Math.abs(event.at - lastAt) < apartMs
}

/** What follows from changes, such as the shares of the load from the health of all servers. */
export interface Consequence {
  /** It follows from the last event of each series of this type. */
  readonly of: EventType
  readonly from: (last: readonly FleetEvent[]) => Observation
}

/** Keeps events; shared by all processes. Each may fail with any error: then the store is away. */
export interface EventStore {
  /** Keeps what was seen at once: all of it, or nothing when the series of the first has that state already. Of the
   * others, and of what follows, too only that is kept which changes its series. Ids rise in the order in which events
   * are kept, whoever keeps them, so that nobody who reads on from an id misses one.
   *
   * @returns Those that were kept: of all processes that saw the change, one gets them. */
  add(observations: readonly Observation[], consequence?: Consequence): Promise<readonly FleetEvent[]>
  /** Remembers that a message came, by the id that its sender gave it.
   *
   * @returns False when it came before. */
  claim(source: string, id: string, at: number): Promise<boolean>
  /** Up to `limit` events, the oldest first, from behind the id `after`. */
  list(page: { readonly after: string; readonly limit: number }): Promise<readonly FleetEvent[]>
  /** The beginnings of the failovers that are not completed, the oldest first. */
  open(): Promise<readonly FleetEvent[]>
}

/** A claim that ends later than so many leases is of a clock that was wrong. */
export const LEASES_MAX = 10

/** Who delivers to a webhook, and how far it has got; shared by all processes. */
export interface CursorStore {
  /** Makes `owner` the one that delivers, until a time, unless another one does now.
   *
   * @param lease.first Behind which id a webhook begins that nobody has delivered to.
   * @returns The last event that is done with; `null` while another one delivers. */
  claim(
    webhook: string,
    owner: string,
    lease: { readonly now: number; readonly until: number; readonly first: string },
  ): Promise<string | null>
  /** Notes that all up to an event is done with.
   *
   * @returns False when another one delivers by now. */
  advance(webhook: string, owner: string, after: string, until: number): Promise<boolean>
}

/** Which processes still have requests in flight at a server that is failed over; shared by all processes. */
export interface InFlightStore {
  /** Records that a process has requests in flight at a server.
   *
   * @param owner The name of the process.
   * @param until When the record expires, in epoch milliseconds, unless it is renewed; 0 removes it. */
  mark(server: string, owner: string, until: number): Promise<void>
  /** Whether any process has a record that has not expired. */
  hasAny(server: string, now: number): Promise<boolean>
}

/** The smallest id of a moment, in epoch milliseconds: every event since then has a greater one. */
export function firstIdAt(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-`
}
