import { suggestion } from '#config/explain.ts'
import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import type { Crew } from '#core/crew.ts'
import type { CursorStore, EventStore, InFlightStore } from '#core/events.ts'
import type { Fact, Journal } from '#core/journal.ts'
import { isDoubted, isDraining, type ServerRecord, type ServerStore } from '#core/registry.ts'
import type { States } from '#core/states.ts'
import { createDelivery } from '#events/deliver.ts'
import { createFailovers } from '#events/failovers.ts'
import { createFeed, type Feed } from '#events/feed.ts'
import { createLoadMonitor } from '#events/load.ts'
import { createObserver } from '#events/observer.ts'
import { createOrchestration, type Orchestration } from '#gateway/management/orchestrate.ts'
import { createReceiver, type Receiver } from '#gateway/management/receive.ts'
import { COMPATIBLE_KIND, PROVIDERS } from '#providers/index.ts'
import type { Guard } from '#providers/transport/guard.ts'
import { startEnlisting } from '#registry/enlist.ts'
import type { Fleet } from '#registry/fleet.ts'
import { doubt } from '#registry/health.ts'
import { createRegistrations } from '#registry/registrations.ts'
import { createMemoryCursors } from '#stores/memory-cursors.ts'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { createMemoryInFlight } from '#stores/memory-in-flight.ts'
import { createMemoryServers } from '#stores/memory-servers.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlCursors } from '#stores/sql-cursors.ts'
import { createSqlEvents } from '#stores/sql-events.ts'
import { createSqlInFlight } from '#stores/sql-in-flight.ts'
import { createSqlServers } from '#stores/sql-servers.ts'
import { WATCHED_ONLY } from './address.ts'
import type { Post } from './asking.ts'
import { createServersOf, selfOf } from './registered.ts'

/** The kinds of servers that may register. */
const KINDS = [...PROVIDERS.keys(), WATCHED_ONLY]
const EVENTS_MAX = 1000
const REGROUP_MS = 500
const POST_TIMEOUT_MS = 10_000

/** The parts that the orchestration is built from. */
export interface OrchestrationParts {
  readonly config: () => Config
  readonly clock: Clock
  readonly random: () => number
  readonly journal: Journal
  readonly newId: (time: number) => string
  readonly states: States
  readonly database: Database | null
  readonly fleet: Fleet
  readonly post: Post
  readonly guard: Guard
  readonly own: () => { readonly host: string; readonly port: number } | null
  readonly warn: (message: string) => void
  readonly crew: Crew
}

/** The registry of servers, the events of the fleet, and their delivery. */
export interface Orchestrated {
  readonly management: Orchestration
  readonly feed: Feed
  /** Receives webhooks. */
  readonly receive: Receiver
  readonly subscriber: (fact: Fact) => void
  readonly errorRate: (server: string) => number | null
  /** Resolves after the registry was read for the first time. */
  start(): Promise<void>
  /** To be called after a reload. */
  reload(): void
  /** Resolves when no event is being delivered to a webhook. */
  stop(): Promise<void>
}

/** The stores of the orchestration. */
interface Stores {
  readonly servers: ServerStore
  readonly events: EventStore
  readonly cursors: CursorStore
  readonly inFlightStore: InFlightStore
}

function storesOf({ database, newId }: OrchestrationParts): Stores {
  if (database === null)
    return {
      servers: createMemoryServers(),
      events: createMemoryEvents({ entriesMax: EVENTS_MAX, newId }),
      cursors: createMemoryCursors(),
      inFlightStore: createMemoryInFlight(),
    }
  return {
    servers: createSqlServers(database),
    events: createSqlEvents(database, newId),
    cursors: createSqlCursors(database),
    inFlightStore: createSqlInFlight(database),
  }
}

/** Builds the registry, its events and their delivery. */
export function composeOrchestration(parts: OrchestrationParts): Orchestrated {
  const { config, clock, journal, states, fleet, crew } = parts
  const shared = parts.database !== null
  const stores = storesOf(parts)
  const owner = parts.newId(clock.time())
  const toServers = createServersOf(config)
  let marked: ReadonlySet<string> = new Set()
  /** The servers that take requests according to the registry, as text to compare; `null` before the registry was
   * read. */
  let group: string | null = null

  function take(records: ReadonlyMap<string, ServerRecord>): void {
    const all = [...records.values()]
    const now = new Set(all.filter(record => isDraining(record) || isDoubted(record)).map(({ id }) => id))
    for (const id of new Set([...marked, ...now])) {
      states.server(id).draining = isDraining(records.get(id))
      doubt(states.server(id), isDoubted(records.get(id)), journal, config().monitoring.thresholds.response_time[0])
    }
    marked = now
    fleet.enroll(toServers(all))
    const grouped = JSON.stringify(all.map(record => [record.id, record.settings.weight, isDraining(record)]))
    // After a delay, so that the process that made the change records its events first.
    if (shared && group !== null && group !== grouped) clock.after(REGROUP_MS, observer.regrouped)
    group = grouped
  }

  const registrations = createRegistrations({
    store: stores.servers,
    clock,
    silenceMs: () => config().orchestration.heartbeat_timeout,
    isTakenOver: id => config().servers.some(server => server.id === id),
    onChange: take,
    onDeparted: ({ id }) => journal.note({ type: 'server-departed', server: id, reason: 'silent', by: null }),
  })
  const refresh = shared ? registrations.refresh : undefined
  const feed = createFeed({ ...parts, store: stores.events, shared, refresh })
  const all = () => [...fleet.current().servers.values()]
  const state = (id: string) => states.server(id)
  const servers = () => all().filter(({ kind, origin }) => kind !== WATCHED_ONLY && origin !== 'built-in')
  const failovers = createFailovers({
    ...stores,
    clock,
    owner,
    shared,
    inFlight: id => state(id).inFlight,
    observe: feed.observe,
  })
  const observer = createObserver({ observe: feed.observe, servers, state, failoverMs: failovers.since })
  const monitor = createLoadMonitor({
    clock,
    observe: feed.observe,
    thresholds: () => config().orchestration.load,
    loads: () =>
      all().map(({ id }) => {
        const probed = state(id).probedAt === 0 ? {} : { response_time_ms: state(id).latencyMs }
        return { server: id, load: { ...probed, ...registrations.current().get(id)?.load } }
      }),
  })
  const post = (url: string, headers: Readonly<Record<string, string>>, body: string) =>
    parts.post(url, headers, body, POST_TIMEOUT_MS)
  // Without a database there is no record of which worker delivers an event, so the leading worker delivers for all.
  const endpoints = () => (shared || crew.leads() ? config().webhooks.deliver : [])
  const delivery = createDelivery({ ...parts, ...stores, owner, endpoints, post })
  const enlisting = startEnlisting({
    clock,
    post,
    gateways: () => (crew.leads() ? config().orchestration.register_with : []),
    self: () => selfOf(config(), parts.own()),
    onChange: (url, problem) =>
      parts.warn(problem === null ? `registered with ${url}` : `not registered with ${url}: ${problem}`),
  })

  const management = createOrchestration({
    clock,
    journal,
    registrations,
    fleet: () => ({ snapshot: fleet.current(), states }),
    usualKind: COMPATIBLE_KIND,
    kinds: KINDS,
    meantKind: kind => suggestion(kind, KINDS),
    hasCredential: name => Object.hasOwn(config().orchestration.credentials, name),
    checkAddress: parts.guard,
    errorRate: monitor.errorRate,
    errorThreshold: () => config().monitoring.thresholds.error_rate,
  })

  return {
    feed,
    management,
    errorRate: monitor.errorRate,
    receive: createReceiver({
      clock,
      journal,
      orchestration: management,
      secrets: () => config().webhooks.secrets,
      claim: stores.events.claim,
    }),
    subscriber(fact) {
      observer.subscriber(fact)
      failovers.subscriber(fact)
      monitor.subscriber(fact)
      delivery.subscriber(fact)
    },
    start() {
      failovers.start()
      delivery.start()
      return registrations.start()
    },
    reload() {
      take(registrations.current())
      delivery.start()
      enlisting.again()
    },
    stop() {
      registrations.stop()
      feed.stop()
      failovers.stop()
      monitor.stop()
      enlisting.stop()
      return delivery.stop()
    },
  }
}
