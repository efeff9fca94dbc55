import { declare, toServer } from '#config/declare.ts'
import type { Environment } from '#config/env.ts'
import { providersFromEnv } from '#config/providers-from-env.ts'
import { type Config, parseServer } from '#config/schema.ts'
import type { Crew, ProbedState } from '#core/crew.ts'
import type { Fact, Journal } from '#core/journal.ts'
import type { LocalPlace } from '#core/local-place.ts'
import type { ProbeBoard } from '#core/probes.ts'
import type { Model, Server, Target } from '#core/servers.ts'
import type { Health, StateMemory } from '#core/states.ts'
import { BUILT_IN_KIND } from '#providers/index.ts'
import { localPlaces } from '#providers/local.ts'
import { createDiscovery } from '#registry/discovery.ts'
import { createEngines, takeReading } from '#registry/engines.ts'
import { createFleet, type Declaration, type Fleet } from '#registry/fleet.ts'
import { hearProbe } from '#registry/health.ts'
import { shareProbes } from '#registry/share-probes.ts'
import type { List } from '#registry/shared-lists.ts'
import { configuredStrategy } from '#routing/strategies/index.ts'
import { addressOf, WATCHED_ONLY } from './address.ts'
import { type AskDeps, createAsk, listOf, load, probe, sourcesOf } from './asking.ts'
import { composeKnowledge } from './knowledge.ts'
import { type Ask, createLister } from './listing.ts'

const DEMO = { id: BUILT_IN_KIND, kind: BUILT_IN_KIND } as const
/** Kinds whose models answer only when they are named. */
const NAMED_ONLY: ReadonlySet<string> = new Set([DEMO.kind])

/** What the fleet is composed of. */
export interface FleetDeps extends AskDeps {
  readonly random: () => number
  readonly states: StateMemory
  readonly journal: Journal
  readonly env: Environment
  /** The configuration as it is now. */
  readonly config: () => Config
  /** Where processes tell each other of probes; `null` where nobody shares anything. */
  readonly board: ProbeBoard | null
  /** Hears what happens. */
  readonly listen: (subscriber: (fact: Fact) => void) => void
  /** Where this gateway listens. */
  readonly own: () => { readonly host: string; readonly port: number } | null
  /** The other workers: one of them probes for all. */
  readonly crew: Crew
  /** Shares with other processes what servers offer. */
  readonly share: (list: List) => List
}

/** A fleet, and the way to ask its servers small questions. */
export interface ComposedFleet {
  readonly fleet: Fleet
  readonly ask: Ask
}

/** Builds the registry: what is declared, what is found, how servers are asked. */
export function composeFleet(config: Config, deps: FleetDeps): ComposedFleet {
  // Which addresses may be dialled depends on who told of them.
  const ask = createAsk(deps, 'configuration')
  const askMember = createAsk(deps, 'registration')
  const askOf = (server: Server) => (server.origin === 'registration' ? askMember : ask)
  const [list, listMember] = [createLister(ask), createLister(askMember)]
  const discovery = createDiscovery({
    clock: deps.clock,
    own: deps.own,
    get: async (url, timeoutMs) => {
      const question = { method: 'GET' as const, url, headers: { accept: 'application/json' }, body: null }
      const answer = await ask(question, timeoutMs)
      const headers: Record<string, string> = {}
      const marker = answer.header('x-citadel-gateway')
      if (marker !== null) headers['x-citadel-gateway'] = marker
      return { status: answer.status, headers, body: answer.body }
    },
    toServer: createFinder(deps.config),
  })
  const { crew, states } = deps
  const engines = createEngines({
    ...deps,
    sources: server => sourcesOf(server, askOf(server)),
    onReading: (server, reading) => crew.tell({ type: 'server-read', server, reading }),
  })
  const own = (server: Server, signal: AbortSignal) => probe(server, signal, deps.clock, askOf(server))
  const intervalMs = () => deps.config().load_balancer.health_check_interval
  const shared = deps.board === null ? own : shareProbes(own, { ...deps, board: deps.board, intervalMs })
  const lists = deps.share(server => (server.origin === 'registration' ? listOf(server, listMember) : list(server)))
  const options = {
    ...deps,
    discovery,
    watchedOnly: new Set([WATCHED_ONLY]),
    namedOnly: NAMED_ONLY,
    knowledge: composeKnowledge(),
    probe: async (server: Server, signal: AbortSignal) => {
      const result = await shared(server, signal)
      if (result.ok && reads()) void engines.read(server)
      return result
    },
    onProbed: (server: string, state: ProbedState) => crew.tell({ type: 'server-probed', server, state }),
    load: (target: Target, model: Model) => load(target, model, askOf(target.server)),
    // What is built in costs no question.
    list: (server: Server) => (server.kind === BUILT_IN_KIND ? list(server) : lists(server)),
  }
  const fleet = createFleet(options, declarationOf(config, deps.env))
  const reads = () => configuredStrategy(fleet.current().settings.algorithm).reads === true
  deps.listen(fact => {
    if (fact.type === 'breaker-opened') {
      fleet.suspect(fact.server)
      // The one that probes may have had no call there itself.
      if (!crew.leads()) crew.tell({ type: 'server-suspected', server: fact.server })
    }
    if (fact.type === 'health-changed' && isUp(fact.to) && !isUp(fact.from)) {
      fleet.returned(fact.server, fact.from === 'unhealthy')
    }
    const server = fact.type === 'model-loaded' ? fleet.current().servers.get(fact.server) : undefined
    if (server !== undefined) engines.readSoon(server)
  })
  crew.listen(news => {
    if (news.type === 'server-probed') hearProbe(states.server(news.server), news.state, deps)
    else if (news.type === 'server-read') takeReading(states.server(news.server), news.reading)
    else if (news.type === 'server-suspected') fleet.suspect(news.server)
    else if (news.type === 'lead') fleet.lead()
  })
  return { fleet, ask }
}

function isUp(health: Health): boolean {
  return health === 'healthy' || health === 'degraded'
}

/** What the configuration says of the fleet; where it says nothing, what the environment and the demo add. */
export function declarationOf(config: Config, env: Environment): Declaration {
  const declared = declare(config, addressOf)
  const empty = config.servers.length === 0 && Object.keys(config.models).length === 0
  const { discover, demo } = config.gateway
  const { found: providers, ollama } = providersFromEnv(env)
  const found = empty ? providers.flatMap(server => toServer(server, config, addressOf, 'environment') ?? []) : []
  const wantsDemo = demo === true || (demo === 'auto' && empty)
  const demos = wantsDemo ? [required(DEMO.id, DEMO.kind, null, config, 'built-in')] : []
  const balancer = config.load_balancer
  return {
    settings: declared.settings,
    servers: [...declared.servers, ...found, ...demos],
    models: declared.models,
    listsHoldMs: config.cache.ttl.models,
    preload: balancer.preload,
    places: discover === true || (discover === 'auto' && empty) ? localPlaces(ollama) : [],
    health: {
      intervalMs: balancer.health_check_interval,
      timeoutMs: balancer.health_check_timeout,
      unhealthyThreshold: balancer.unhealthy_threshold,
      recoveryThreshold: balancer.recovery_threshold,
      slowMs: config.monitoring.thresholds.response_time[0],
      criticalMs: config.monitoring.thresholds.response_time[1],
    },
  }
}

/** Makes servers of places; the same ones as long as the configuration is the same. */
function createFinder(config: () => Config): (place: LocalPlace) => Server {
  let of = config()
  let made = new Map<string, Server>()
  return ({ id, kind, baseUrl }) => {
    if (of !== config()) {
      of = config()
      made = new Map()
    }
    const server = made.get(id) ?? required(id, kind, baseUrl, of, 'discovery')
    made.set(id, server)
    return server
  }
}

function required(id: string, kind: string, baseUrl: string | null, config: Config, origin: Server['origin']): Server {
  const server = toServer(parseServer({ id, kind, base_url: null }), config, () => addressOf(kind, baseUrl), origin)
  if (server === null) throw new Error(`a server of kind ${kind} needs an address`)
  return server
}
