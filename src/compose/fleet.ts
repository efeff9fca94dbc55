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
import { type AskDeps, createAsk, createPost, listOf, load, type Post, probe, sourcesOf } from './asking.ts'
import { composeKnowledge } from './knowledge.ts'
import { createLister } from './listing.ts'

const DEMO = { id: BUILT_IN_KIND, kind: BUILT_IN_KIND } as const
/** The kinds whose models answer only requests that name them. */
const NAMED_ONLY: ReadonlySet<string> = new Set([DEMO.kind])

/** The parts that the fleet is built from. */
export interface FleetDeps extends AskDeps {
  readonly random: () => number
  readonly states: StateMemory
  readonly journal: Journal
  readonly env: Environment
  /** The configuration as it is now. */
  readonly config: () => Config
  /** Where processes share the results of probes; `null` where nothing is shared. */
  readonly board: ProbeBoard | null
  /** Subscribes to facts. */
  readonly listen: (subscriber: (fact: Fact) => void) => void
  /** Where this gateway listens. */
  readonly own: () => { readonly host: string; readonly port: number } | null
  /** The workers of this machine; one of them probes for all. */
  readonly crew: Crew
  /** Lets several processes share the lists of models that servers give. */
  readonly share: (list: List) => List
}

/** The fleet, and the function that sends messages to addresses of the configuration. */
export interface ComposedFleet {
  readonly fleet: Fleet
  readonly post: Post
}

/** Builds the registry: declared and discovered servers, and how servers are probed and listed. */
export function composeFleet(config: Config, deps: FleetDeps): ComposedFleet {
  // Registered servers are asked by another transport, because their addresses have to be checked.
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
    // Not shared: a built-in server is asked without a request.
    list: (server: Server) => (server.kind === BUILT_IN_KIND ? list(server) : lists(server)),
  }
  const fleet = createFleet(options, declarationOf(config, deps.env))
  const reads = () => configuredStrategy(fleet.current().settings.algorithm).reads === true
  deps.listen(fact => {
    if (fact.type === 'breaker-opened') {
      fleet.suspect(fact.server)
      // Told to the worker that probes, because it may have made no call there itself.
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
  return { fleet, post: createPost(deps, 'configuration') }
}

function isUp(health: Health): boolean {
  return health === 'healthy' || health === 'degraded'
}

/** The fleet as the configuration declares it; where it declares none, servers from the environment and the demo. */
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

/** Makes servers of discovered addresses; the same objects until the configuration changes. */
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
