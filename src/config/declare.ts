import { toPrice, type WrittenPrice } from '#core/cost.ts'
import type { DeclaredModel } from '#core/declared.ts'
import type { HedgingSettings, Price, Server } from '#core/servers.ts'
import type { Settings } from '#core/snapshot.ts'
import type { Config, ModelConfig, ServerConfig } from './schema.ts'

/** The fleet and its rules as the configuration declares them, in the gateway's own nouns. */
export interface Declaration {
  readonly servers: readonly Server[]
  readonly models: readonly DeclaredModel[]
  readonly settings: Settings
}

/** Where a server of a kind lives: its configured address made whole, or the kind's own; `null` when there is none. */
export type Address = (kind: string, baseUrl: string | null) => string | null

/** Reads the fleet out of a configuration. Servers without an address, or of a kind that `address` does not know, and
 * the targets on them are left out. */
export function declare(config: Config, address: Address): Declaration {
  const configured = config.servers.flatMap(server => toServer(server, config, address) ?? [])
  const shorthand = Object.entries(config.models).flatMap(
    ([name, model]) => endpointServer(name, model, config, address) ?? [],
  )
  const servers = [...configured, ...shorthand]
  const known = new Set(servers.map(server => server.id))
  const clocks = new Map(config.servers.map(({ id, timeouts }) => [id, withOverrides(config.timeouts, timeouts)]))
  const models = Object.entries(config.models).map(([name, model]) => toModel(name, model, { config, known, clocks }))
  return { servers, models, settings: toSettings(config) }
}

/** Makes one configured server a server of the fleet; `null` when it has no address. */
export function toServer(
  server: ServerConfig,
  config: Config,
  address: Address,
  origin: Server['origin'] = 'configuration',
): Server | null {
  const baseUrl = address(server.kind, server.base_url)
  if (baseUrl === null) return null
  return {
    id: server.id,
    kind: server.kind,
    baseUrl,
    role: server.role,
    weight: server.weight,
    secrets: server.api_keys,
    headers: server.headers,
    maxConcurrent: server.max_concurrent,
    timeouts: withOverrides(config.timeouts, server.timeouts),
    origin,
  }
}

function endpointServer(name: string, model: ModelConfig, config: Config, address: Address): Server | null {
  if (model.endpoint === null) return null
  const baseUrl = address('openai_compatible', model.endpoint)
  if (baseUrl === null) return null
  return {
    id: name,
    kind: 'openai_compatible',
    baseUrl,
    role: null,
    secrets: [],
    headers: {},
    maxConcurrent: 0,
    timeouts: config.timeouts,
    origin: 'configuration',
  }
}

/** A price as it was meant: who names one for requests alone takes nothing for anything else. */
function priceOf(written: WrittenPrice | null): Price | null {
  if (written === null) return null
  const { input, output, request, search } = written
  const isFlat = request != null && input == null && output == null
  return toPrice(isFlat ? { ...written, input: 0, output: 0, search: search ?? 0 } : written)
}

function toModel(
  name: string,
  model: ModelConfig,
  from: {
    readonly config: Config
    readonly known: ReadonlySet<string>
    /** The timeouts of each configured server. */
    readonly clocks: ReadonlyMap<string, Config['timeouts']>
  },
): DeclaredModel {
  const { config, known, clocks } = from
  const timeoutsOf = (server: string) => withOverrides(clocks.get(server) ?? config.timeouts, model.timeouts)
  const targets = model.targets
    .filter(target => known.has(target.server))
    .map(target => ({
      server: target.server,
      model: target.model,
      weight: target.weight,
      maxConcurrent: target.max_concurrent,
      price: priceOf(target.price),
      timeouts: timeoutsOf(target.server),
    }))
  const endpoint = {
    server: name,
    model: name,
    weight: 1,
    maxConcurrent: model.max_concurrent,
    price: priceOf(model.cost_per_request === null ? null : { request: model.cost_per_request }),
    timeouts: timeoutsOf(name),
  }
  return {
    name,
    displayName: model.display_name,
    targets: model.endpoint !== null && known.has(name) ? [endpoint, ...targets] : targets,
    aliases: model.aliases,
    fallbacks: model.fallbacks,
    class: model.class,
    capabilities: model.capabilities,
    weight: model.weight,
    hedging: toHedging(withOverrides(config.hedging, model.hedging)),
    ownedBy: null,
    cache: model.cache,
  }
}

function toSettings(config: Config): Settings {
  const { gateway } = config
  const preferred = Object.entries(gateway.classes).map(([name, settings]) => [name, settings?.prefer ?? []])
  return {
    algorithm: config.load_balancer.algorithm,
    costOptimization: gateway.cost_optimization_enabled,
    defaultModel: gateway.default_model,
    intelligentRouting: gateway.intelligent_routing,
    modelRoutingEnabled: gateway.model_routing_enabled,
    fallbackEnabled: gateway.fallback.enabled,
    fallbackOrder: gateway.fallback.order,
    maxAttempts: config.retry.max_attempts,
    retry: {
      maxWaitMs: config.retry.max_wait,
      backoffBaseMs: config.retry.backoff_base,
      backoffMaxMs: config.retry.backoff_max,
      budgetPercent: config.retry.budget_percent,
      budgetMin: config.retry.budget_min,
      keepOne: config.recovery.enabled,
      afterFilter: gateway.fallback.content_filter,
    },
    breaker: {
      enabled: config.load_balancer.circuit_breaker_enabled,
      threshold: config.load_balancer.circuit_breaker_threshold,
      openMs: config.load_balancer.circuit_breaker_timeout,
    },
    hedging: toHedging(config.hedging),
    heartbeatMs: config.streams.heartbeat,
    earlyHeadersMs: config.streams.early_headers,
    cache: toCacheSettings(config),
    preferredServers: Object.fromEntries(preferred),
  }
}

function toCacheSettings({ cache }: Config): Settings['cache'] {
  if (!cache.enabled) return null
  return {
    chatTtlMs: cache.ttl.chat,
    embeddingsTtlMs: cache.ttl.embeddings,
    onlyDeterministic: cache.only_deterministic,
    scope: cache.scope,
    coalesce: cache.coalesce,
    keepPace: cache.keep_pace,
  }
}

function toHedging({ enabled, after, max_percent: maxPercent }: Config['hedging']): HedgingSettings | null {
  if (!enabled || maxPercent === 0) return null
  return { after: typeof after === 'number' ? { ms: after } : { percentile: Number(after.slice(1)) }, maxPercent }
}

function withOverrides<T extends object>(settings: T, overrides: Partial<T>): T {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined)
  return given.length === 0 ? settings : { ...settings, ...Object.fromEntries(given) }
}
