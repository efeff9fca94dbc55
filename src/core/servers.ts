import type { MODEL_CLASSES } from '#wire/models.ts'

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

/** USD per million tokens of each class; absent or null = unknown, never zero. A class that is a part of another one has
 * the price of that one while its own is unknown. */
export interface Rates {
  readonly input?: number | null
  readonly audio_input?: number | null
  /** Of prompt tokens that a cache served, and of those written to one, for an hour instead of minutes. */
  readonly cache_read?: number | null
  readonly audio_cache_read?: number | null
  readonly cache_write?: number | null
  readonly cache_write_1h?: number | null
  readonly output?: number | null
  readonly audio_output?: number | null
  readonly reasoning?: number | null
}

/** What all tokens of a call cost whose prompt is longer than so many. */
export interface Tier extends Rates {
  readonly above: number
}

/** How many times the usual price of tokens holds, by the tier of service and by the place; what is absent is not said. */
export interface Factors {
  readonly serviceTier?: Readonly<Record<string, number>>
  readonly inferenceGeo?: Readonly<Record<string, number>>
}

/** What a target takes for tokens, for each request, and for each search that it makes. */
export interface Price extends Rates {
  readonly input: number | null
  readonly output: number | null
  readonly request: number
  /** Absent or null = unknown, and not charged. */
  readonly search?: number | null
  /** By rising `above`, each with every price that holds there; absent where all prompts are alike. */
  readonly tiers?: readonly Tier[]
  /** Absent where every call has the usual price. */
  readonly factors?: Factors
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
  /** What another model takes that the server asks for an answer of this one; absent or null when it is not known. */
  readonly priceBeside?: (upstreamModel: string) => Price | null
  readonly timeouts: Timeouts
  /** Absent when nothing is known. */
  readonly abilities?: Abilities
  /** Whether the server has it in memory; absent when it does not say. */
  readonly loaded?: boolean
}

export type ModelClass = (typeof MODEL_CLASSES)[number]

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
