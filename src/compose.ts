import type { Environment } from '#config/env.ts'
import type { Config } from '#config/schema.ts'
import type { Attempt } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { createJournal } from '#core/journal.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Server, States } from '#core/servers.ts'
import { createDial } from '#gateway/dial.ts'
import { createPipeline } from '#gateway/pipeline.ts'
import { createSlots } from '#gateway/slots.ts'
import { createApp } from '#http/app.ts'
import type { Connection } from '#http/exchange.ts'
import { createIds } from '#lib/id.ts'
import { createWheel } from '#lib/wheel.ts'
import { commitGate } from '#policies/commit.ts'
import { failover } from '#policies/failover.ts'
import { createDemoTransport } from '#providers/demo/transport.ts'
import { PROVIDERS } from '#providers/index.ts'
import type { Transport } from '#providers/transport.ts'
import { createFetchTransport } from '#providers/transport-fetch.ts'
import { buildSnapshot } from '#registry/snapshot.ts'
import { createStates } from '#registry/states.ts'
import { createLineups } from '#routing/lineup.ts'
import { plan } from '#routing/plan.ts'
import { createMemoryLimiter } from '#stores/memory-limiter.ts'
import { composeEdge } from './compose-edge.ts'
import { composeProblems } from './fleet-config.ts'

const LIMITER_ENTRIES_MAX = 100_000
export interface Overrides {
  readonly clock?: Clock
  readonly random?: () => number
  readonly transport?: Transport
  readonly env?: Environment
}
export interface Gateway {
  fetch(request: Request, connection?: Connection): Promise<Response>
  close(): Promise<void>
}

export function compose(config: Config, overrides: Overrides): Gateway {
  const after = createWheel()
  const clock = overrides.clock ?? { now: () => performance.now(), time: () => Date.now(), after }
  const random = overrides.random ?? Math.random
  const journal = createJournal([])
  const states = createStates()
  const { declaration } = composeProblems(config)
  const snapshot = buildSnapshot({
    version: 1,
    settings: declaration.settings,
    servers: declaration.servers,
    declaredModels: declaration.models,
    listed: new Map(),
  })
  const network = overrides.transport ?? createFetchTransport({ clock })
  const demo = createDemoTransport({ clock })
  const transportFor = (server: Server) => (server.baseUrl === 'demo:' ? demo : network)
  const slots = createSlots(states)
  const gate = commitGate(clock)
  const lineups = createLineups((kind, endpoint) => PROVIDERS.get(kind)?.endpoints.has(endpoint) ?? false)
  const run = createPipeline({
    clock,
    journal,
    snapshot: () => snapshot,
    plan: (call, now, wishes) => plan(call, now, states, { clock, random, lineups }, wishes),
    attempt: (record: RequestRecord): Attempt =>
      gate(createDial({ providers: PROVIDERS, transportFor, clock }, record)),
    router: maxAttempts => failover({ slots, states, clock, journal, maxAttempts }),
  })
  const edge = composeEdge(config, clock)
  const fetch = createApp({
    clock,
    journal,
    limiter: createMemoryLimiter({ clock, entriesMax: LIMITER_ENTRIES_MAX }),
    newId: createIds(),
    edge: () => edge,
    run,
    fleet: () => ({ snapshot, states }),
    metrics: { render: async () => '', contentType: 'text/plain' },
    process: {
      startedAt: clock.time(),
      rss: () => 0,
      heapUsed: () => 0,
      cpu: () => ({ user: 0, system: 0 }),
      eventLoopLagMs: () => 0,
      workers: () => 1,
    },
    configSchema: async () => ({}),
    accepting: () => true,
    extraPaths: { health: '/health', metrics: '/metrics' },
  })
  return { fetch, close: async () => {} }
}
