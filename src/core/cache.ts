import type { Usage } from './usage.ts'

/** A whole answer as it is kept, with all that giving it again needs. */
export interface CachedAnswer {
  /** `plain` is a JSON body, `stream` the text of its events, `vector` the JSON of one embedding. */
  readonly form: 'plain' | 'stream' | 'vector'
  /** The body or the events, without the count of a stream and without `[DONE]`. */
  readonly text: string
  /** The event that counts the tokens of a stream; empty when there is none. */
  readonly count: string
  /** The server's own `id` and `created`, which each replay replaces; empty and 0 where it gave none. */
  readonly id: string
  readonly created: number
  /** Milliseconds from the first piece of a stream to each of its events; empty when its pace is not kept. */
  readonly pace: readonly number[]
  readonly usage: Usage | null
  /** Characters of content. */
  readonly characters: number
  /** Who gave it: the model's public name, the target's id. */
  readonly model: string
  readonly target: string
  /** Whose it is. */
  readonly tenant: string
  readonly key: string
  /** Epoch milliseconds. */
  readonly storedAt: number
  /** How long it may be given, in milliseconds from then. */
  readonly ttlMs: number
}

/** Which answers are meant: those that fit every field that is given. */
export interface CacheSelection {
  readonly model?: string | undefined
  readonly tenant?: string | undefined
  readonly key?: string | undefined
}

/** Keeps answers by the fingerprint of what was asked. What cannot be read is not there. */
export interface CacheStore {
  /** An answer whose time is not over; at once when it is in the memory of this process. */
  get(fingerprint: string): CachedAnswer | null | Promise<CachedAnswer | null>
  /** Keeps an answer, unless it is too large; nobody has to wait until it is there.
   *
   * @param askedAt When it was asked for, in monotonic milliseconds: what has been cleared since is not kept. */
  set(fingerprint: string, answer: CachedAnswer, askedAt?: number): void | Promise<void>
  /** Forgets answers.
   *
   * @returns How many.
   * @throws GatewayError `dependency_unavailable` when a shared cache does not answer: who asks for this has to know. */
  clear(selection: CacheSelection): Promise<number>
  /** What is held in the memory of this process. */
  size(): { readonly entries: number; readonly bytes: number }
}

/** What the configuration says of the cache. */
export interface CacheSettings {
  readonly chatTtlMs: number
  readonly embeddingsTtlMs: number
  readonly onlyDeterministic: boolean
  readonly scope: 'key' | 'tenant'
  readonly coalesce: boolean
  /** Whether the replay of a stream takes as long as the stream took. */
  readonly keepPace: boolean
}

/** What a request wants of the cache. */
export interface CacheWishes {
  /** Whether a stored answer will do. */
  readonly read: boolean
  /** Whether its answer may be stored. */
  readonly store: boolean
  /** Whether it may share an answer that is under way. */
  readonly share: boolean
  /** The oldest answer that will do, in milliseconds. */
  readonly maxAgeMs: number
  /** Whether nothing but a stored answer will do. */
  readonly onlyStored: boolean
}

/** What the cache did for a request. A batch of which only a part was stored is a miss. */
export interface CacheNote {
  readonly status: 'hit' | 'miss' | 'coalesced' | 'bypass'
  /** How old the answer is and how long it still holds, in milliseconds; 0 unless it was a hit. */
  readonly ageMs: number
  readonly leftMs: number
}

/** Whether an answer is one of those that are meant. */
export function isSelected(
  answer: Pick<CachedAnswer, 'model' | 'tenant' | 'key'>,
  { model, tenant, key }: CacheSelection,
): boolean {
  return (
    (model === undefined || answer.model === model) &&
    (tenant === undefined || answer.tenant === tenant) &&
    (key === undefined || answer.key === key)
  )
}
