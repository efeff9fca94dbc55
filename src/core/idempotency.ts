/** A whole answer as it was sent: of a stream, the exact text of its events. */
export interface StoredAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

/** A request that came with an idempotency key. */
export interface KeyedRequest {
  /** The caller's key together with whose it is. */
  readonly key: string
  /** A hash of what is asked; another one under the same key is a mistake of the caller. */
  readonly fingerprint: string
  /** The id of the request: only it may keep or release what it has claimed. */
  readonly owner: string
}

/** What stands under a key. `claimed`: nothing, and the request has it now. */
export type Claim =
  | { readonly kind: 'claimed' | 'running' | 'mismatch' }
  | { readonly kind: 'stored'; readonly answer: StoredAnswer }

/** Remembers what was answered under which idempotency key, so that a repeated request is not done twice. */
export interface IdempotencyStore {
  /** Of all requests that claim a free key at once exactly one gets it. */
  claim(request: KeyedRequest): Promise<Claim> | Claim
  /** Ends a claim with its answer; one that is too large is not kept, and the key is free again. Never fails. */
  keep(key: string, owner: string, answer: StoredAnswer): void
  /** Ends a claim without an answer; nothing happens when it has ended already. Never fails. */
  release(key: string, owner: string): void
}

/** The longest answer that is worth keeping, in characters. */
export const STORED_CHARACTERS_MAX = 1024 * 1024
