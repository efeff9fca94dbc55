import type { Candidate } from '#core/attempt.ts'
import type { Model, Target } from '#core/servers.ts'
import type { Settings, Snapshot } from '#core/snapshot.ts'
import type { HealthSettings } from '#registry/health.ts'
import { model, target } from './calls.ts'

export const settings: Settings = {
  algorithm: 'weighted_round_robin',
  costOptimization: false,
  defaultModel: null,
  intelligentRouting: false,
  modelRoutingEnabled: true,
  fallbackEnabled: true,
  fallbackOrder: [],
  maxAttempts: 4,
  retry: {
    maxWaitMs: 3000,
    backoffBaseMs: 100,
    backoffMaxMs: 8000,
    budgetPercent: 20,
    budgetMin: 3,
    keepOne: false,
    afterFilter: false,
  },
  breaker: { enabled: true, threshold: 5, openMs: 60_000 },
  hedging: null,
  heartbeatMs: 15_000,
  earlyHeadersMs: null,
  cache: null,
  preferredServers: {},
}

/** How servers are probed, as by default. */
export const healthSettings: HealthSettings = {
  intervalMs: 30_000,
  timeoutMs: 10_000,
  unhealthyThreshold: 3,
  recoveryThreshold: 5,
  slowMs: 1000,
  criticalMs: 5000,
}

/** A target named `server/model`. */
export function targetOf(id: string, more: Partial<Target> = {}): Target {
  const [server = '', upstreamModel = ''] = id.split('/')
  return target(server, { id, upstreamModel, ...more })
}

/** A snapshot of these models, with all the names that lead to them. */
export function snapshotOf(models: readonly Model[], more: Partial<Settings> = {}): Snapshot {
  const targets = models.flatMap(each => each.targets)
  return {
    version: 1,
    models: new Map(models.map(each => [each.name, each])),
    names: new Map(
      models.flatMap(each =>
        [...each.aliases, ...each.targets.map(({ id }) => id)].map(name => [name, each.name] as const),
      ),
    ),
    targets: new Map(targets.map(each => [each.id, each])),
    servers: new Map(targets.map(each => [each.server.id, each.server])),
    settings: { ...settings, ...more },
  }
}

/** Candidates for one model, one server each, with these weights. */
export function candidatesOf(weights: readonly number[]): readonly Candidate[] {
  const targets = weights.map((weight, index) => targetOf(`s${index}/m`, { weight }))
  const only = model('m', targets)
  return targets.map(each => ({ target: each, model: only, reason: 'test' }))
}
