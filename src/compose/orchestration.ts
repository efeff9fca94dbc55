import { lookup as lookupName } from 'node:dns/promises'
import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import type { Crew } from '#core/crew.ts'
import type { CursorStore, EventStore, HoldStore } from '#core/events.ts'
import type { Fact, Journal } from '#core/journal.ts'
import { isDoubted, isDraining, type ServerRecord, type ServerStore } from '#core/registry.ts'
import type { Server, States } from '#core/servers.ts'
import { createDelivery } from '#events/deliver.ts'
import { createFailovers } from '#events/failovers.ts'
import { createFeed, type Feed } from '#events/feed.ts'
import { createLoadMonitor } from '#events/load.ts'
import { createObserver } from '#events/observer.ts'
import { GATEWAY_ROLE } from '#gateway/hops.ts'
import { createOrchestration, type Orchestration } from '#gateway/orchestrate.ts'
import { createReceiver, type Receiver } from '#gateway/receive.ts'
import { parseBlock } from '#lib/net.ts'
import { COMPATIBLE_KIND } from '#providers/index.ts'
import { createGuard, type Guard, type Lookup } from '#providers/transport/guard.ts'
import { startEnlisting } from '#registry/enlist.ts'
import type { Fleet } from '#registry/fleet.ts'
import { doubt } from '#registry/health.ts'
import { createRegistrations } from '#registry/registrations.ts'
import { createMemoryCursors } from '#stores/memory-cursors.ts'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { createMemoryHolds } from '#stores/memory-holds.ts'
import { createMemoryServers } from '#stores/memory-servers.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlCursors } from '#stores/sql-cursors.ts'
import { createSqlEvents } from '#stores/sql-events.ts'
import { createSqlHolds } from '#stores/sql-holds.ts'
import { createSqlServers } from '#stores/sql-servers.ts'
import type { Registration } from '#wire/orchestration.ts'
import { addressOf } from './fleet-config.ts'
import type { Ask } from './listing.ts'

const EVENTS_MAX = 1000
const REGROUP_MS = 500
const POST_TIMEOUT_MS = 10_000
const WATCHED_ONLY = 'service'

/** What the orchestration is composed of. */
export interface OrchestrationParts {
  readonly config: () => Config
  readonly clock: Clock
  readonly random: () => number
  readonly journal: Journal
  readonly newId: (time: number) => string
  readonly states: States
  readonly database: Database | null
  readonly fleet: Fleet
  readonly ask: Ask
  readonly guard: Guard
  readonly own: () => { readonly host: string; readonly port: number } | null
  readonly warn: (message: string) => void
  readonly crew: Crew
}

/** Servers that register themselves, and what happens to the fleet. */
export interface Orchestrated {
  readonly management: Orchestration
  readonly feed: Feed
  /** Takes webhooks. */
  readonly receive: Receiver
  readonly subscriber: (fact: Fact) => void
  readonly errorRate: (server: string) => number | null
  /** Resolves after the first look at who is registered. */
  start(): Promise<void>
  /** A configuration was taken over. */
  reload(): void
  /** Resolves when no event is on its way to a webhook. */
  stop(): Promise<void>
}

/** Where the orchestration keeps what it knows. */
interface Stores {
  readonly servers: ServerStore
  readonly events: EventStore
  readonly cursors: CursorStore
  readonly holds: HoldStore
}

/** Which addresses of registered servers may be dialled. */
export function composeGuard(config: () => Config, lookup: Lookup = systemLookup): Guard {
  let written: readonly string[] = []
  let blocks: readonly NonNullable<ReturnType<typeof parseBlock>>[] = []
  const allowed = () => {
    const { allowed_addresses } = config().orchestration
    if (allowed_addresses !== written) {
      written = allowed_addresses
      blocks = allowed_addresses.map(parseBlock).filter(block => block !== null)
    }
    return blocks
  }
  return createGuard(allowed, lookup)
}

async function systemLookup(hostname: string): Promise<readonly string[]> {
  const found = await lookupName(hostname, { all: true, verbatim: true })
  return found.map(({ address }) => address)
}

function storesOf({ database, newId }: OrchestrationParts): Stores {
  if (database === null)
    return {
      servers: createMemoryServers(),
      events: createMemoryEvents({ entriesMax: EVENTS_MAX, newId }),
      cursors: createMemoryCursors(),
      holds: createMemoryHolds(),
    }
  return {
    servers: createSqlServers(database),
    events: createSqlEvents(database, newId),
    cursors: createSqlCursors(database),
    holds: createSqlHolds(database),
  }
}

/** Puts the registry, its events and their delivery together. */
export function composeOrchestration(parts: OrchestrationParts): Orchestrated {
  const { config, clock, journal, states, fleet, crew } = parts
  const shared = parts.database !== null
  const stores = storesOf(parts)
  const owner = parts.newId(clock.time())
  const toServer = createServerOf(config)
  let marked: ReadonlySet<string> = new Set()
  /** Who takes requests, as far as the registry says; `null` before the first look. */
  let group: string | null = null

  function take(records: ReadonlyMap<string, ServerRecord>): void {
    const all = [...records.values()]
    const now = new Set(all.filter(record => isDraining(record) || isDoubted(record)).map(({ id }) => id))
    for (const id of new Set([...marked, ...now])) {
      states.server(id).draining = isDraining(records.get(id))
      doubt(states.server(id), isDoubted(records.get(id)), journal)
    }
    marked = now
    fleet.enroll(all.flatMap(record => toServer(record) ?? []))
    const grouped = JSON.stringify(all.map(record => [record.id, record.settings.weight, isDraining(record)]))
    // Late, so that the process that made the change has told of it.
    if (shared && group !== null && group !== grouped) clock.after(REGROUP_MS, observer.regrouped)
    group = grouped
  }

  const registrations = createRegistrations({
    store: stores.servers,
    clock,
    silenceMs: () => config().orchestration.heartbeat_timeout,
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
  const post = async (url: string, headers: Readonly<Record<string, string>>, body: string) => {
    const { status } = await parts.ask({ method: 'POST', url, headers, body }, POST_TIMEOUT_MS)
    return status
  }
  // Where no database says which worker was the first to see an event, one delivers for all.
  const endpoints = () => (shared || crew.leads() ? config().webhooks.deliver : [])
  const delivery = createDelivery({ ...parts, ...stores, owner, endpoints, post })
  const stopEnlisting = startEnlisting({
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
    knowsKind: kind => kind === WATCHED_ONLY || addressOf(kind, 'http://server') !== null,
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
    },
    stop() {
      registrations.stop()
      feed.stop()
      failovers.stop()
      monitor.stop()
      stopEnlisting()
      return delivery.stop()
    },
  }
}

/** Makes servers of records; the same object for the same server, so that who watches it is not disturbed. */
function createServerOf(config: () => Config): (record: ServerRecord) => Server | null {
  const made = new Map<string, { readonly config: Config; readonly key: string; readonly server: Server | null }>()
  return record => {
    if (record.origin !== 'registered') return null
    const key = JSON.stringify([record.kind, record.baseUrl, record.settings])
    const before = made.get(record.id)
    if (before?.key === key && before.config === config()) return before.server
    const server = serverOf(record, config())
    made.set(record.id, { config: config(), key, server })
    return server
  }
}

function serverOf({ id, kind, baseUrl, settings }: ServerRecord, config: Config): Server | null {
  const { models_endpoint: list, health_endpoint: health, credential } = settings
  // A list at /api/v1/models means calls at /api/v1/chat/completions.
  const base = list?.endsWith('/models') === true ? `${baseUrl}${list.slice(0, -'/models'.length)}` : baseUrl
  const address = addressOf(kind, base)
  if (address === null) return null
  const secret = credential === null ? undefined : config.orchestration.credentials[credential]
  return {
    id,
    kind,
    baseUrl: address,
    role: settings.role,
    weight: settings.weight,
    secrets: secret === undefined ? [] : [secret],
    headers: {},
    maxConcurrent: settings.max_concurrent,
    timeouts: config.timeouts,
    origin: 'registration',
    own: { models: settings.models, healthUrl: health === null ? null : `${baseUrl}${health}` },
  }
}

/** What this gateway says of itself to others; `null` where they could not reach it. */
function selfOf(config: Config, own: { readonly host: string; readonly port: number } | null): Registration | null {
  const { advertise } = config.orchestration
  const url =
    advertise === null ? (own === null ? null : new URL(`http://${hostOf(own.host)}:${own.port}`)) : new URL(advertise)
  if (url === null) return null
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const id = `${config.service.name}-${url.hostname}-${port}`.replace(/[^\w.-]+/g, '-').slice(0, 64)
  return {
    server_info: {
      id: /^[a-z0-9]/i.test(id) ? id : `g${id}`.slice(0, 64),
      hostname: url.hostname,
      port,
      scheme: url.protocol === 'https:' ? 'https' : 'http',
      role: GATEWAY_ROLE,
      capabilities: [],
      services: ['citadel-gateway'],
      models: null,
      weight: 1,
      max_concurrent: 0,
      credential: null,
    },
    health_endpoint: '/health',
    models_endpoint: '/v1/models',
    metrics_endpoint: '/metrics',
  }
}

function hostOf(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
