import type { Capabilities, HedgingSettings, ModelClass, Price, Timeouts } from './servers.ts'

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
