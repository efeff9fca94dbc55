import type { CacheSettings } from './cache.ts'

/** The clocks of a call, in milliseconds. */
export interface Timeouts {
  readonly connect: number
  /** From the request sent to the response head. */
  readonly first_byte: number
  /** From the request sent to the first content; role chunks and comments do not stop it. */
  readonly first_token: number
  /** The longest silence within a stream. */
  readonly idle: number
  readonly total: number
  /** The longest wait for a free slot. */
  readonly queue: number
}

/** An address with a dialect and its credentials. */
export interface Server {
  readonly id: string
  /** The provider's name in the registry of dialects, or `service` for what is only watched. */
  readonly kind: string
  /** Without a trailing slash. */
  readonly baseUrl: string
  readonly role: string | null
  readonly secrets: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** Calls in flight at once over all its models; 0 = no bound of its own. */
  readonly maxConcurrent: number
  readonly timeouts: Timeouts
  /** Who told the gateway about it. */
  readonly origin: 'configuration' | 'environment' | 'discovery' | 'built-in' | 'registration'
  /** Its share of the load beside other servers; 1 when absent. */
  readonly weight?: number
  /** What a server said of itself when it registered; absent for all others. */
  readonly own?: ServerOwn
}

/** What a registered server says of itself. */
export interface ServerOwn {
  /** The models that it offers; `null` = it is asked for them. */
  readonly models: readonly string[] | null
  /** Where it is probed; `null` = where its dialect says. */
  readonly healthUrl: string | null
}

/** USD per million tokens, and per request; `null` = unknown, never zero. */
export interface Price {
  readonly input: number | null
  readonly output: number | null
  /** Of prompt tokens that a cache served, and of those written to one; absent or null = unknown. */
  readonly cache_read?: number | null
  readonly cache_write?: number | null
  readonly request: number
}

/** What a model on a server can do; `null` = unknown. */
export interface Abilities {
  /** Tokens of prompt and answer together. */
  readonly context_length: number | null
  readonly tools: boolean | null
  readonly vision: boolean | null
  readonly json_schema: boolean | null
}

/** What is known of a model on a server without asking it. */
export interface KnownModel {
  readonly abilities: Abilities
  readonly price: Price | null
}

/** Tells what is known of a model by its name, and of the dialect of its server. */
export type Knowledge = (server: Server, upstreamModel: string) => KnownModel

export type TargetId = string

/** One upstream model on one server. */
export interface Target {
  /** `server/upstream-model`. */
  readonly id: TargetId
  readonly server: Server
  readonly upstreamModel: string
  readonly weight: number
  /** Calls in flight at once; 0 = no bound. */
  readonly maxConcurrent: number
  readonly price: Price | null
  readonly timeouts: Timeouts
  /** Absent when nothing is known. */
  readonly abilities?: Abilities
  /** Whether the server has it in memory; absent when it does not say. */
  readonly loaded?: boolean
}

export type ModelClass = 'lightweight' | 'heavyweight' | 'embedding' | 'specialized'

export interface Capabilities {
  readonly context_length: number | null
  readonly tools: boolean | null
  readonly vision: boolean | null
  readonly prefill: boolean
}

/** When a second server is asked beside a slow first one. */
export interface HedgingSettings {
  /** So long after the first one, 0 being at once, or past this percentile of the time that the target usually takes. */
  readonly after: { readonly ms: number } | { readonly percentile: number }
  /** The largest share of the calls that are sent twice. */
  readonly maxPercent: number
}

/** A public name that callers use, and the targets behind it. */
export interface Model {
  readonly name: string
  /** What people read; the name when absent. */
  readonly displayName?: string | null
  readonly aliases: readonly string[]
  readonly targets: readonly Target[]
  readonly fallbacks: readonly string[]
  readonly class: ModelClass | null
  readonly capabilities: Capabilities
  /** Its share when the caller leaves the model out. */
  readonly weight: number
  readonly ownedBy: string
  /** Unix seconds. */
  readonly created: number
  /** Whether a call without a model may get it; never true for the demo. */
  readonly eligible: boolean
  /** `null` or absent: no call is sent twice. */
  readonly hedging?: HedgingSettings | null
  /** Whether its answers may be stored and shared; they may when absent. */
  readonly cache?: boolean
}

/** How failures are met; times in milliseconds. */
export interface RetrySettings {
  /** The longest wait that a server may ask for and get. */
  readonly maxWaitMs: number
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  /** Retries at once, as a share of the active requests, and how many are always allowed. */
  readonly budgetPercent: number
  readonly budgetMin: number
  /** Whether one attempt of a stream is kept back, to go on when it is cut. */
  readonly keepOne: boolean
  /** Whether a fallback model may answer what a content filter has refused. */
  readonly afterFilter: boolean
}

/** When a target that keeps failing is left alone. */
export interface BreakerSettings {
  readonly enabled: boolean
  /** Failures in a row that open it. */
  readonly threshold: number
  /** How long the first opening lasts, in milliseconds. */
  readonly openMs: number
}

/** What the request path reads of the configuration. */
export interface Settings {
  readonly algorithm: string
  /** Whether the cheaper of equally fit candidates comes first. */
  readonly costOptimization: boolean
  readonly defaultModel: string | null
  readonly intelligentRouting: boolean
  readonly modelRoutingEnabled: boolean
  readonly fallbackEnabled: boolean
  /** Models tried after a model's own fallbacks. */
  readonly fallbackOrder: readonly string[]
  readonly maxAttempts: number
  readonly retry: RetrySettings
  readonly breaker: BreakerSettings
  /** Of models that are not declared; `null` = off. */
  readonly hedging: HedgingSettings | null
  readonly heartbeatMs: number
  readonly fullHeaders: boolean
  readonly bodyBytesMax: number
  /** `null` while answers are not stored. */
  readonly cache: CacheSettings | null
  /** For each class the ids of the servers that are preferred, best first. */
  readonly preferredServers: Readonly<Partial<Record<ModelClass, readonly string[]>>>
}

/** Everything a request needs to know of the fleet: immutable, and a request keeps the one it started with. */
export interface Snapshot {
  readonly version: number
  /** By public name. */
  readonly models: ReadonlyMap<string, Model>
  /** By alias and by `server/model`: the model's public name. */
  readonly names: ReadonlyMap<string, string>
  readonly targets: ReadonlyMap<TargetId, Target>
  readonly servers: ReadonlyMap<string, Server>
  readonly settings: Settings
}

export type Health = 'unknown' | 'healthy' | 'degraded' | 'unhealthy'

/** What the probes know of a server; lives in one object that outlives snapshots. */
export interface ServerState {
  readonly id: string
  health: Health
  /** Probes in a row. */
  failures: number
  successes: number
  /** Epoch milliseconds of the last probe and of the last good one; 0 = never. */
  probedAt: number
  seenAt: number
  /** Of the last probe, in milliseconds. */
  latencyMs: number
  /** Why the last probe failed, in public words. */
  reason: string | null
  inFlight: number
  draining: boolean
  /** Whether somebody else says that it is not well: at its best it is degraded. */
  doubted: boolean
  /** Monotonic milliseconds of the last good probe; -1 before the first one. */
  provedAt: number
  /** Monotonic milliseconds at which a call was last given to it; 0 = never. */
  usedAt: number
  /** Epoch milliseconds at which calls last gave reason to doubt that it lives; 0 = never. */
  suspectedAt: number
  /** Calls at it that are not ours, by its own figures when it was last asked; 0 where it tells none. */
  others: number
  /** Its names of the models in memory; `null` where it does not say. */
  loaded: Set<string> | null
  /** The model that it was last given a call for without having it; `null` once that is loaded. */
  loading: string | null
}

/** What the circuit breaker remembers of a target; it is closed while `openUntil` is 0. */
export interface BreakerState {
  /** In a row. */
  failures: number
  /** How often it has opened lately. */
  openings: number
  /** Monotonic milliseconds. */
  openedAt: number
  openUntil: number
  closedAt: number
  /** Whether the one trial of a half-open breaker is under way. */
  trial: boolean
}

/** An average in which the latest samples weigh most. */
export interface Average {
  /** 0 = no sample yet. */
  ms: number
  /** Monotonic milliseconds of the last sample. */
  at: number
}

/** What the gateway remembers of a target between requests; outlives snapshots. */
export interface TargetState {
  readonly id: TargetId
  readonly server: ServerState
  inFlight: number
  /** Monotonic milliseconds until which a 429 keeps it out; 0 = not cooling. */
  coolUntil: number
  /** Monotonic milliseconds until which every credential for it is known to be refused; 0 = not. */
  refusedUntil: number
  readonly breaker: BreakerState
  /** How long its answers take, learned while a strategy asks for it: until the first content of a stream, and until a
   * plain answer is whole. The two are not to be compared. */
  readonly ewma: { readonly streamed: Average; readonly plain: Average }
}

/** What a server tells of itself; `null` = it does not say. */
export interface Reading {
  /** Calls that it works on or that wait at it, whoever sent them. */
  readonly calls: number | null
  /** Its names of the models in memory. */
  readonly loaded: readonly string[] | null
}

/** Gives the one state object of a target or server, made on first use. */
export interface States {
  target(target: Target): TargetState
  server(id: string): ServerState
}

/** Where a breaker stands: past its time, or once a probe has been good, one trial is let through. */
export function breakerOf({ breaker, server }: TargetState, now: number): 'closed' | 'open' | 'half-open' {
  if (breaker.openUntil === 0) return 'closed'
  return now >= breaker.openUntil || server.provedAt > breaker.openedAt ? 'half-open' : 'open'
}

/** Whether the breaker lets a call through now. */
export function breakerAdmits(state: TargetState, now: number): boolean {
  if (state.breaker.openUntil === 0) return true
  return !state.breaker.trial && breakerOf(state, now) === 'half-open'
}

/** A model as a server lists it. */
export interface ListedModel {
  readonly id: string
  readonly contextLength: number | null
  /** Unix seconds; 0 when the server does not say. */
  readonly created: number
  readonly ownedBy: string | null
  readonly embedding: boolean
  /** What the server says that it can do. */
  readonly abilities?: Partial<Abilities>
  /** Whether it is in memory now, from servers that load models on demand. */
  readonly loaded?: boolean
}

/** A target as the configuration declares it. */
export interface DeclaredTarget {
  /** The id of a server. */
  readonly server: string
  /** The name of the model there. */
  readonly model: string
  readonly weight: number
  readonly maxConcurrent: number
  readonly price: Price | null
  /** The clocks that differ from the server's. */
  readonly timeouts: Partial<Timeouts>
}

/** A model as the configuration declares it. */
export interface DeclaredModel {
  readonly name: string
  readonly displayName?: string | null
  readonly targets: readonly DeclaredTarget[]
  readonly aliases: readonly string[]
  readonly fallbacks: readonly string[]
  readonly class: ModelClass | null
  readonly capabilities: Capabilities
  readonly weight: number
  /** `null` or absent: no call is sent twice. */
  readonly hedging?: HedgingSettings | null
  /** `null` = the id of its first server. */
  readonly ownedBy: string | null
  /** Whether its answers may be stored and shared; they may when absent. */
  readonly cache?: boolean
}
