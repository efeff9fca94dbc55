import { LRUCache } from 'lru-cache'
import type { Clock } from '#core/clock.ts'
import type { IdempotencyStore, KeyedRequest, StoredAnswer } from '#core/idempotency.ts'

interface Kept {
  readonly fingerprint: string
  readonly answer: StoredAnswer
  /** Monotonic milliseconds. */
  readonly until: number
}

/** What an entry takes besides its texts, in bytes. */
const ENTRY_BYTES = 512
const BYTES_PER_CHARACTER = 2

/** The clock and the bounds of the store. */
export interface MemoryIdempotencyOptions {
  readonly clock: Pick<Clock, 'now'>
  readonly ttlMs: number
  /** About how many bytes all answers may take; above that, those used least recently are forgotten. */
  readonly bytesMax: number
  readonly answerBytesMax: number
}

/** Creates a store in the memory of this process. */
export function createMemoryIdempotency(options: MemoryIdempotencyOptions): IdempotencyStore {
  const { clock, ttlMs, bytesMax, answerBytesMax } = options
  const running = new Map<string, Pick<KeyedRequest, 'fingerprint' | 'owner'>>()
  const kept = new LRUCache<string, Kept>({
    maxSize: bytesMax,
    sizeCalculation: ({ answer }, key) => ENTRY_BYTES + (key.length + answer.body.length) * BYTES_PER_CHARACTER,
  })

  function find(key: string): Kept | undefined {
    const found = kept.get(key)
    if (found === undefined || clock.now() < found.until) return found
    kept.delete(key)
    return undefined
  }

  return {
    claim({ key, fingerprint, owner }) {
      const twin = running.get(key)
      if (twin !== undefined) return { kind: twin.fingerprint === fingerprint ? 'running' : 'mismatch' }
      const found = find(key)
      if (found === undefined) {
        running.set(key, { fingerprint, owner })
        return { kind: 'claimed' }
      }
      return found.fingerprint === fingerprint ? { kind: 'stored', answer: found.answer } : { kind: 'mismatch' }
    },
    keep(key, owner, answer) {
      const claimed = running.get(key)
      if (claimed?.owner !== owner) return
      running.delete(key)
      if (Buffer.byteLength(answer.body) > answerBytesMax) return
      kept.set(key, { fingerprint: claimed.fingerprint, answer, until: clock.now() + ttlMs })
    },
    release(key, owner) {
      if (running.get(key)?.owner === owner) running.delete(key)
    },
  }
}
