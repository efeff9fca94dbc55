import { createBuckets } from '#access/buckets.ts'
import type { AuthMode } from '#access/keys.ts'
import { createTiers } from '#cache/tiers.ts'
import type { Environment } from '#config/env.ts'
import type { Origins } from '#config/origins.ts'
import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { createJournal, type Fact } from '#core/journal.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Server } from '#core/servers.ts'
import { createAnswers } from '#gateway/answers.ts'
import { createDial } from '#gateway/dial.ts'
import { createLengths } from '#gateway/estimate.ts'
import { rememberRequests } from '#gateway/explain.ts'
import { createReportManagement } from '#gateway/manage-reports.ts'
import { isExhausted, overloadOf, type Pressure, refusalOf } from '#gateway/overload.ts'
import { createPipeline } from '#gateway/pipeline.ts'
import { createQueue } from '#gateway/queue.ts'
import { createRehearsal } from '#gateway/rehearsal.ts'
import { showConfig } from '#gateway/show-config.ts'
import { createActive } from '#http/active.ts'
import { createApp, type GatewayFetch } from '#http/app.ts'
import type { ProcessView, Services } from '#http/services.ts'
import { createIds } from '#lib/id.ts'
import { createWheel } from '#lib/wheel.ts'
import { createBreakers } from '#policies/breaker.ts'
import { createRetryBudget } from '#policies/budget.ts'
import { commitGate } from '#policies/commit.ts'
import { createCredentials } from '#policies/credentials.ts'
import { failover } from '#policies/failover.ts'
import { createHedges } from '#policies/hedge.ts'
import { createDemoTransport, DEMO_ADDRESS } from '#providers/demo/transport.ts'
import { OLLAMA_KIND, PASSED_HEADERS, PROVIDERS } from '#providers/index.ts'
import type { Lookup } from '#providers/transport/guard.ts'
import { createSocketTransport } from '#providers/transport/index.ts'
import type { Transport } from '#providers/transport.ts'
import { createStates } from '#registry/states.ts'
import { explainPlan } from '#routing/explain.ts'
import { createLineups, rehearse } from '#routing/lineup.ts'
import { isAvailable, plan } from '#routing/plan.ts'
import { createMemoryCache } from '#stores/memory-cache.ts'
import { createMemoryHistory } from '#stores/memory-history.ts'
import { createRedisCache } from '#stores/redis-cache.ts'
import { createSqlReports } from '#stores/sql-reports.ts'
import { createFailures } from '#telemetry/failures.ts'
import { createLog } from '#telemetry/log.ts'
import { createMetrics } from '#telemetry/metrics.ts'
import { memoryOfProcess, samplePressure, unheldInterval } from '#telemetry/pressure.ts'
import { createRedactor } from '#telemetry/quote.ts'
import { createStats } from '#telemetry/stats.ts'
import { composeEdge, secretsOf } from './compose-edge.ts'
import { composeFleet, declarationOf } from './compose-fleet.ts'
import { composeHealth } from './compose-health.ts'
import { composeIdentity } from './compose-identity.ts'
import { composeLedger } from './compose-ledger.ts'
import { composeLines } from './compose-lines.ts'
import { composeGuard, composeOrchestration } from './compose-orchestration.ts'
import { composeDatabase, composeKeys, type Keys } from './compose-state.ts'
import { createIdempotency, createLimiter, createSharing, openRedisOf } from './compose-stores.ts'
import { composeSupport } from './compose-support.ts'
import { clearTogether, openShared, publishNowAndThen, type WorkerPlace } from './compose-workers.ts'
import { type FleetReport, reportFleet } from './report.ts'
import { VERSION } from './version.ts'

const GIGABYTE = 1024 ** 3
const NO_ORIGINS: Origins = new Map()
/** The last requests that can be asked about. */
const HISTORY = { entriesMax: 1000, bytesMax: 4 * 1024 * 1024 }
/** How long a start waits for the first look around before it says what it has found, in milliseconds. */
const LOOK_AROUND_MS = 200

/** What another host, or a test, supplies instead. */
export interface Overrides {
  readonly clock?: Clock
  readonly random?: () => number
  /** Talks to every server but the demo. */
  readonly transport?: Transport
  /** Resolves the names of servers that register themselves. */
  readonly lookup?: Lookup
  /** Where provider keys are looked for when nothing is configured, and the folders of the user, where state is kept
   * (default: nowhere, so that state is kept in memory). */
  readonly env?: Environment
  /** Takes log lines (default: none are written). */
  readonly write?: (text: string) => void
  /** Log lines for people instead of JSON. */
  readonly pretty?: boolean
  /** How hard the process has it (default: it is measured). */
  readonly pressure?: () => Pressure
  /** Where each value of the configuration was written. */
  readonly origins?: Origins
  /** Reads the configuration again and hands it to `reload`.
   *
   * @throws GatewayError `invalid_request` where it is wrong. */
  readonly reload?: Services['settings']['reload']
  /** Where this gateway listens, so that it never finds itself. */
  readonly own?: () => { readonly host: string; readonly port: number } | null
  /** Its place among several workers on one port (default: it is the only one). */
  readonly worker?: WorkerPlace
}

/** A gateway: the handler, and what a host needs to run it. */
export interface Gateway {
  readonly fetch: GatewayFetch
  /** What the first look around found; resolves soon, whether or not everybody has answered. */
  readonly found: Promise<FleetReport>
  /** The same once everybody has answered; `null` when `found` said it all. */
  readonly later: Promise<FleetReport | null>
  metrics(): Promise<{ readonly text: string; readonly contentType: string }>
  readonly firstKey: Keys['firstKey']
  /** Whether callers need a key now. */
  authMode(): AuthMode
  /** Takes a new configuration; requests under way keep the one they started with. */
  reload(config: Config, origins?: Origins): void
  reloadFailed(message: string): void
  warn(message: string): void
  fail(message: string, thrown: unknown): void
  /** Says "not ready" from now on, and still serves. */
  drain(): void
  /** Lets clients connect anew for their next requests, and still serves: another process has the port by now. */
  leave(): void
  /** Resolves when no request is under way. */
  idle(): Promise<void>
  /** Ends what is under way; streams are told that the gateway shuts down. */
  abort(): void
  close(): Promise<void>
}

/** Builds a gateway, by hand, from top to bottom. */
export function compose(config: Config, overrides: Overrides): Gateway {
  // Time and chance.
  const clock = overrides.clock ?? { now: () => performance.now(), time: () => Date.now(), after: createWheel() }
  const random = overrides.random ?? Math.random
  const env = overrides.env ?? {}

  // What is remembered, and who hears what happens.
  const subscribers: ((fact: Fact) => void)[] = []
  const journal = createJournal(subscribers)
  const states = createStates()
  let current = config
  let buckets = createBuckets(current.limits)
  const redis = openRedisOf(config, clock, change =>
    journal.note({ type: 'dependency-changed', dependency: 'redis', ...change }),
  )
  const shared = openShared(overrides.worker)
  const { crew } = shared
  const limiter = createLimiter(redis, shared.limiter, clock, () => ({
    storeDown: current.limits.store_down,
    processes: current.limits.processes,
  }))
  const history = createMemoryHistory(HISTORY)
  const idempotency = createIdempotency(redis, clock)
  const newId = createIds()
  let origins = overrides.origins ?? NO_ORIGINS
  const stateDeps = { clock, journal, env, newId, config: () => current }
  const database = composeDatabase(stateDeps)
  const keys = composeKeys(database, stateDeps)
  const memoryCache = createMemoryCache({ clock, bytesMax: config.cache.max_memory })
  const redisCache = redis === null ? null : createRedisCache({ redis, clock, onClear: memoryCache.clear })
  const tiers = redisCache === null ? memoryCache : createTiers(memoryCache, redisCache)
  const cache = crew.size === 1 ? tiers : clearTogether(tiers, memoryCache, crew)
  const lengths = createLengths()
  let redact = createRedactor(secretsOf(config))
  const ledger = composeLedger(database, { ...stateDeps, redis, subscribers, lengths, redact: text => redact(text) })
  const log = createLog({
    write: overrides.write ?? (() => {}),
    clock,
    level: config.monitoring.log_level,
    service: config.service.name,
    redact: secretsOf(config),
    pretty: overrides.pretty,
  })

  // How hard the process has it.
  let memoryMax = memoryLimitOf(config, crew.size)
  const sampler = samplePressure({
    now: () => performance.now(),
    every: unheldInterval,
    rss: () => process.memoryUsage.rss(),
    limit: () => memoryMax,
  })
  const pressure = overrides.pressure ?? sampler.read

  // The fleet.
  const sockets = createSocketTransport({ clock })
  const lines = composeLines(clock, config)
  const network = overrides.transport ?? sockets
  const demo = createDemoTransport({ clock })
  const guard = composeGuard(() => current, overrides.lookup)
  const guarded = createSocketTransport({ clock, guard })
  const strange = overrides.transport ?? guarded
  const transportFor = ({ baseUrl, origin }: Pick<Server, 'baseUrl' | 'origin'>) =>
    origin === 'registration' ? strange : baseUrl.startsWith(DEMO_ADDRESS) ? demo : (lines.to(baseUrl) ?? network)
  const own = overrides.own ?? (() => null)
  const { fleet, ask } = composeFleet(config, {
    clock,
    random,
    states,
    journal,
    listen: subscriber => subscribers.push(subscriber),
    transportFor,
    env,
    own,
    crew,
    share: createSharing(redis, clock, () => current.cache.ttl.models),
  })
  const kindOf = (server: string) => fleet.current().servers.get(server)?.kind
  const queue = createQueue({
    states,
    clock,
    available: target => isAvailable(states.target(target), clock.now()),
    places: shared.places,
  })
  const settings = () => fleet.current().settings
  const budget = createRetryBudget(() => settings().retry)
  const breakers = createBreakers({ states, clock, journal, random, settings: () => settings().breaker })
  const credentials = createCredentials({ states, clock, journal })
  const hedges = createHedges()
  const metrics = createMetrics({
    clock,
    version: VERSION,
    snapshot: fleet.current,
    states,
    isOllama: server => kindOf(server) === OLLAMA_KIND,
    logLinesDropped: log.dropped,
    queueDepth: queue.depth,
    redisConnections: () => redis?.connections() ?? 0,
    retriesLeft: budget.remaining,
    ledger: ledger.numbers,
    overload: () => overloadOf(pressure()),
    lagMs: () => pressure().lagMs,
    memoryLimit: () => memoryMax,
    cacheSize: cache.size,
    workers: () => crew.size,
    ...(shared.metrics !== undefined && { share: shared.metrics }),
  })
  const stopPublishing = publishNowAndThen(metrics, shared, clock)
  const stats = createStats()
  const failures = createFailures(clock)
  const orchestration = composeOrchestration({
    ...stateDeps,
    random,
    states,
    database,
    fleet,
    ask,
    guard,
    own,
    warn: log.warn,
    crew,
  })
  subscribers.push(metrics.subscriber, log.subscriber, budget.subscriber, rememberRequests(history), stats.subscriber)
  subscribers.push(failures.subscriber, orchestration.subscriber)

  // The way of a model call.
  const gate = commitGate(clock)
  const lineups = createLineups((kind, endpoint) => PROVIDERS.get(kind)?.endpoints.has(endpoint) ?? false)
  const planning = { clock, random, lineups }
  const policies = { states, clock, journal, breakers, budget, credentials, hedges, random }
  const dialDeps = {
    providers: PROVIDERS,
    transportFor,
    clock,
    outcomes: breakers,
    hop: `citadel-${newId(clock.time())}`,
  }
  const run = createPipeline({
    clock,
    journal,
    snapshot: fleet.current,
    plan: (call, snapshot, wishes) => plan(call, snapshot, states, planning, wishes),
    answers: createAnswers({ store: cache, clock }),
    attempt: (record: RequestRecord) => gate(createDial(dialDeps, record)),
    limiter,
    lengths,
    limitsOf: asking => buckets.ofCall(asking),
    purse: ledger.purse,
    payloads: ledger.payloads,
    router: (maxAttempts, wait, { permit, purse }) => {
      const places = queue.slotsFor(wait)
      const limited = permit === null ? places : permit.slots(places)
      const slots = purse === null ? limited : purse.slots(limited)
      return failover({ ...policies, slots, retry: settings().retry, maxAttempts })
    },
  })

  const rehearsal = createRehearsal({
    snapshot: fleet.current,
    states,
    explain: (call, snapshot, wishes) => explainPlan(call, snapshot, states, planning, wishes),
    planner: shadow => {
      const rehearsed = { ...planning, lineups: rehearse(lineups) }
      return (call, snapshot, wishes) => plan(call, snapshot, shadow, rehearsed, wishes)
    },
  })

  // The edge.
  const active = createActive(clock)
  const identity = composeIdentity({ clock, journal, redis, stored: keys.stored, warn: log.warn })
  let edge = composeEdge(config, identity(config), buckets)
  let phase: 'serving' | 'leaving' | 'draining' = 'serving'
  const fetch = createApp({
    clock,
    journal,
    limiter,
    idempotency,
    cache,
    history,
    newId,
    edge: () => edge,
    load: {
      refusal: priority => refusalOf(overloadOf(pressure()), priority),
      exhausted: () => isExhausted(pressure()),
    },
    run,
    passedHeaders: [...PASSED_HEADERS, 'via'],
    caches: () => settings().cache !== null,
    fleet: () => ({ snapshot: fleet.current(), states }),
    metrics,
    process: processView(clock, crew.size),
    health: {
      parts: composeHealth({
        ...stateDeps,
        redis,
        database,
        memory: () => ({ used: pressure().memory, limit: memoryMax }),
        calls: failures.read,
      }),
      errorRate: orchestration.errorRate,
    },
    keys: keys.management,
    rehearsal,
    stats: stats.of,
    support: composeSupport,
    settings: {
      show() {
        const secrets = secretsOf(current)
        return showConfig({ config: current, origins, secrets, redact: createRedactor(secrets) })
      },
      reload: overrides.reload ?? noReload,
    },
    orchestration: orchestration.management,
    events: orchestration.feed,
    receive: orchestration.receive,
    reports: createReportManagement(database === null ? null : createSqlReports(database)),
    configSchema: async () => (await import('#config/json-schema.ts')).configJsonSchema(),
    serving: () => phase !== 'draining',
    staying: () => phase === 'serving',
    active,
    extraPaths: { health: config.monitoring.health_check_endpoint, metrics: config.monitoring.metrics_endpoint },
  })

  // The first look around.
  const looked = Promise.all([fleet.start(), keys.stored.looked, orchestration.start()])
  const soon = new Promise<'late'>(resolve => clock.after(LOOK_AROUND_MS, () => resolve('late')))
  const first = Promise.race([looked.then(() => 'whole' as const), soon])

  return {
    fetch,
    found: first.then(() => reportFleet(fleet, env)),
    later: first.then(async how => (how === 'whole' ? null : looked.then(() => reportFleet(fleet, env)))),
    metrics: async () => ({ text: await metrics.render(), contentType: metrics.contentType }),
    reload(next, written = NO_ORIGINS) {
      // Whom to admit follows from where the gateway listens, and that changes only with a restart.
      current = next
      origins = written
      buckets = createBuckets(next.limits)
      const service = { ...next.service, host: config.service.host }
      edge = composeEdge({ ...next, service }, identity(next), buckets)
      memoryMax = memoryLimitOf(next, crew.size)
      lines.reload(next)
      fleet.replace(declarationOf(next, env))
      orchestration.reload()
      credentials.forget()
      redact = createRedactor(secretsOf(next))
      log.configure({ level: next.monitoring.log_level, redact: secretsOf(next) })
      journal.note({ type: 'config-reloaded', ok: true, message: 'the configuration was taken over' })
    },
    reloadFailed: message => journal.note({ type: 'config-reloaded', ok: false, message }),
    warn: message => log.warn(message),
    firstKey: keys.firstKey,
    authMode: () => edge.authMode(),
    fail: (message, thrown) => log.error(message, { error: String(thrown) }),
    drain() {
      phase = 'draining'
    },
    leave() {
      if (phase === 'serving') phase = 'leaving'
      // The others ask servers from now on, and tell what they find.
      fleet.stop()
    },
    idle: active.idle,
    abort: () =>
      active.cancelAll(
        new GatewayError('server_shutting_down', 'The gateway is shutting down.', { retryAfterMs: 1000 }),
      ),
    async close() {
      sampler.stop()
      keys.stored.stop()
      fleet.stop()
      await orchestration.stop()
      sockets.close()
      lines.close()
      guarded.close()
      await limiter.close()
      await ledger.close()
      await database?.close()
      idempotency.close()
      redisCache?.close()
      redis?.close()
      stopPublishing()
      log.close()
    },
  }
}

async function noReload(): Promise<never> {
  throw new GatewayError('conflict', 'This gateway was not started from files that could be read again.')
}

/** What the process may use, in bytes: its share of what there is for all workers. */
function memoryLimitOf({ performance: { memory_limit_gb: configured } }: Config, workers: number): number {
  const all = configured === null ? memoryOfProcess() : Math.min(configured * GIGABYTE, memoryOfProcess())
  return all / workers
}

function processView(clock: Clock, workers: number): ProcessView {
  return { startedAt: clock.time(), workers: () => workers }
}
