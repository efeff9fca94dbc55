import type { CacheSettings } from './cache.ts'
import type { HedgingSettings, Model, ModelClass, Server, Target, TargetId } from './servers.ts'

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
  /** How long a stream may have no content until it is answered with its headers alone; `null` = for ever. */
  readonly earlyHeadersMs: number | null
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
