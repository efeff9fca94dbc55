/** A good answer to a probe. */
export interface GoodProbe {
  /** Epoch milliseconds. */
  readonly at: number
  readonly latencyMs: number
}

/** Where processes tell each other of probes that were answered well. Each may fail with any error: then the store is
 * away. */
export interface ProbeBoard {
  /** The last good answer of a server, if it is not older than a time in epoch milliseconds. */
  since(server: string, at: number): Promise<GoodProbe | null>
  /** @param forMs How long others may want to know of it. */
  post(server: string, probe: GoodProbe, forMs: number): Promise<void>
}
