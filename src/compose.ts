import { createBuckets } from '#access/buckets.ts'
import type { Origins } from '#config/origins.ts'
import { databasePlace } from '#config/places.ts'
import { untilRestart } from '#config/reload.ts'
import type { Config } from '#config/schema.ts'
import { systemClock } from '#core/clock.ts'
import { createJournal, type Fact } from '#core/journal.ts'
import { createLengths } from '#gateway/limits/estimate.ts'
import { rememberRequests } from '#gateway/management/explain.ts'
import { createActive } from '#http/active.ts'
import { createApp } from '#http/app.ts'
import { createIds } from '#lib/id.ts'
import { PASSED_HEADERS } from '#providers/index.ts'
import { createStates } from '#registry/states.ts'
import { createMemoryHistory } from '#stores/memory-history.ts'
import { createFailures } from '#telemetry/failures.ts'
import { createStats } from '#telemetry/stats.ts'
import { composeCache } from './compose/cache.ts'
import { composeCalls } from './compose/calls.ts'
import { shareCooldowns } from './compose/cooldowns.ts'
import { composeEdge } from './compose/edge.ts'
import { composeFleet, declarationOf } from './compose/fleet.ts'
import type { Gateway, Overrides } from './compose/gateway.ts'
import { composeHealth } from './compose/health.ts'
import { composeIdentity } from './compose/identity.ts'
import { createLeaving } from './compose/leaving.ts'
import { composeLedger } from './compose/ledger.ts'
import { composeLog } from './compose/log.ts'
import { composeMetrics } from './compose/metrics.ts'
import { composeNetwork } from './compose/network.ts'
import { composeOrchestration } from './compose/orchestration.ts'
import { composePressure } from './compose/pressure.ts'
import { reportFleet, reportOnce } from './compose/report.ts'
import { composeSettings } from './compose/settings.ts'
import { composeDatabase, composeKeys, composeReports } from './compose/state.ts'
import {
  createBoard,
  createIdempotency,
  createLimiter,
  createPlaces,
  createSharing,
  openRedisOf,
} from './compose/stores.ts'
import { composeSupport } from './compose/support.ts'
import { openShared } from './compose/workers.ts'
import { VERSION } from './version.ts'

const NO_ORIGINS: Origins = new Map()
/** The last requests that can be asked about. */
const HISTORY = { entriesMax: 1000, bytesMax: 4 * 1024 * 1024 }

/** Builds a gateway by hand, from top to bottom: what comes first needs nothing of what follows, but for functions that are
 * called later. What a reload may change is read through `current`, `env`, `origins`, `buckets` and `edge`. */
export function compose(config: Config, overrides: Overrides): Gateway {
  // Time and chance.
  const clock = overrides.clock ?? systemClock()
  const begunAt = clock.now()
  const random = overrides.random ?? Math.random
  let env = overrides.env ?? {}

  // What is remembered, and who is told what happens.
  const subscribers: ((fact: Fact) => void)[] = []
  const listen = (...more: readonly ((fact: Fact) => void)[]) => void subscribers.push(...more)
  const journal = createJournal(subscribers)
  const states = createStates()
  let current = config
  let buckets = createBuckets(current.limits)
  const redis = openRedisOf(config, clock, change =>
    journal.note({ type: 'dependency-changed', dependency: 'redis', ...change }),
  )
  const shared = openShared(overrides.worker)
  const { crew } = shared
  const limiter = createLimiter(redis, shared.limiter, clock, () => current)
  const history = createMemoryHistory(HISTORY)
  const idempotency = createIdempotency(redis, clock)
  const newId = createIds()
  let origins = overrides.origins ?? NO_ORIGINS
  const stateDeps = { clock, journal, env, newId, config: () => current }
  const database = composeDatabase(stateDeps)
  const place = databasePlace(config, env)
  const keys = composeKeys(database, stateDeps)
  const pressure = composePressure(config, crew.size, overrides.pressure)
  const answers = composeCache(config, { clock, redis, crew, memoryMax: pressure.memoryMax() })
  const lengths = createLengths()
  const logged = composeLog(config, clock, overrides)
  const { log, redact } = logged
  const ledger = composeLedger(database, { ...stateDeps, redis, listen, lengths, redact, steadyMs: shared.steadyMs })

  // The fleet.
  const network = composeNetwork(clock, () => current, overrides)
  const { transportFor, guard } = network
  const own = overrides.own ?? (() => null)
  const { fleet, post } = composeFleet(config, {
    ...stateDeps,
    random,
    states,
    listen,
    transportFor,
    own,
    crew,
    share: createSharing(redis, clock, () => current.cache.ttl.models),
    board: createBoard(redis, database, place),
  })
  const stopCooldowns = shareCooldowns({ clock, crew, redis, states, snapshot: fleet.current, listen })
  const { places, close: closePlaces } = createPlaces(redis, shared, {
    ...stateDeps,
    onGranted: count => calls.granted(count),
  })
  const calls = composeCalls({
    clock,
    random,
    journal,
    states,
    snapshot: fleet.current,
    transportFor,
    limiter,
    lengths,
    answers,
    ledger,
    limitsOf: asking => buckets.ofCall(asking),
    places,
    hop: `citadel-${newId(clock.time())}`,
  })
  const measured = composeMetrics({
    clock,
    environment: () => current.service.environment,
    snapshot: fleet.current,
    states,
    calls,
    cache: answers.store,
    ledger,
    log,
    redis,
    pressure,
    certificateEnds: overrides.certificateEnds,
    shared,
  })
  const { metrics } = measured
  const stats = createStats()
  const failures = createFailures(clock)
  const orchestration = composeOrchestration({
    ...stateDeps,
    random,
    states,
    database,
    fleet,
    post,
    guard,
    own,
    warn: log.warn,
    crew,
  })
  listen(metrics.subscriber, log.subscriber, calls.subscriber, rememberRequests(history), stats.subscriber)
  listen(failures.subscriber, orchestration.subscriber)

  // The edge.
  const active = createActive(clock)
  const identity = composeIdentity({ clock, journal, redis, stored: keys.stored, warn: log.warn })
  let edge = composeEdge(config, identity(config), buckets)
  const leaving = createLeaving({ active, log, isAlone: overrides.worker === undefined, stopFleet: fleet.stop })
  const fetch = createApp({
    clock,
    journal,
    limiter,
    idempotency,
    cache: answers.store,
    history,
    newId,
    edge: () => edge,
    load: pressure.load,
    run: calls.run,
    passedHeaders: [...PASSED_HEADERS, 'via'],
    fleet: () => ({ snapshot: fleet.current(), states }),
    metrics,
    process: { startedAt: clock.time(), uptimeMs: () => clock.now() - begunAt, workers: () => crew.size },
    health: {
      parts: composeHealth({ ...stateDeps, redis, database, ledger, pressure, calls: failures.read }),
      errorRate: orchestration.errorRate,
    },
    keys: keys.management,
    rehearsal: calls.rehearsal,
    stats: stats.of,
    support: composeSupport,
    settings: composeSettings(() => ({ config: current, origins }), overrides.reload),
    orchestration: orchestration.management,
    events: orchestration.feed,
    receive: orchestration.receive,
    reports: composeReports(database, place, ledger.keeping),
    configSchema: async () => (await import('#config/json-schema.ts')).configJsonSchema(),
    serving: leaving.serving,
    staying: leaving.staying,
    active,
    extraPaths: { health: config.monitoring.health_check_endpoint, metrics: config.monitoring.metrics_endpoint },
  })

  // The first look at servers, keys and the registry; whoever waits for it is told once it is over.
  const looked = Promise.all([fleet.start(), keys.stored.looked, orchestration.start()])

  return {
    fetch,
    looked,
    ...reportOnce(looked, clock, () => reportFleet(fleet, env)),
    metrics: async () => ({ text: await metrics.render(), contentType: metrics.contentType }),
    reload(wanted, written = NO_ORIGINS, variables = env) {
      // What needs a restart stays as it was at the start, also for those who ask for it later.
      const next = untilRestart(config, wanted)
      current = next
      origins = written
      env = variables
      buckets = createBuckets(next.limits)
      edge = composeEdge(next, identity(next), buckets)
      pressure.reload(next)
      network.reload(next)
      const before = fleet.current()
      fleet.replace(declarationOf(next, env))
      orchestration.reload()
      calls.reload(before)
      logged.reload(next)
      const heard = !crew.leads()
      journal.note({ type: 'config-reloaded', ok: true, message: 'the configuration was taken over', heard })
    },
    reloadFailed: message => journal.note({ type: 'config-reloaded', ok: false, message }),
    warn: message => log.warn(message),
    firstKey: keys.firstKey,
    authMode: () => edge.authMode(),
    fail: (message, thrown) => log.error(message, { error: String(thrown) }),
    started: url => log.info('started', { version: VERSION, url }),
    drain: leaving.drain,
    leave: leaving.leave,
    idle: leaving.idle,
    abort: leaving.abort,
    async close() {
      pressure.stop()
      keys.stored.stop()
      fleet.stop()
      stopCooldowns()
      // Together, because a process that ends has little time, and one of them may wait for somebody.
      await Promise.all([orchestration.stop(), limiter.close(), closePlaces(), ledger.close()])
      network.close()
      await database?.close()
      idempotency.close()
      answers.close()
      redis?.close()
      measured.stop()
      leaving.ended()
      log.close()
    },
  }
}
