import { LRUCache } from 'lru-cache'
import { type CachedAnswer, type CacheStore, isSelected } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import { othersTurn } from '#lib/turn.ts'

/** What an entry takes besides its texts, in bytes. */
const ENTRY_BYTES = 512
const BYTES_PER_CHARACTER = 2
const BYTES_PER_MOMENT = 8
/** One answer may take one eighth of the memory at most, so that it does not push out all the others. */
const SHARE_MAX = 8
/** How many answers `clear` looks at in one turn of the event loop, which takes some milliseconds. */
const LOOKED_AT_ONCE = 5000

/** Creates a cache in the memory of this process. Answers that were not asked for longest make room for new ones.
 *
 * @param options.bytesMax About how much memory all answers may take. */
export function createMemoryCache(options: {
  readonly clock: Pick<Clock, 'time'>
  readonly bytesMax: number
}): CacheStore {
  const { clock, bytesMax } = options
  const answers = new LRUCache<string, CachedAnswer>({
    maxSize: Math.max(1, bytesMax),
    maxEntrySize: Math.max(1, Math.floor(bytesMax / SHARE_MAX)),
    sizeCalculation: bytesOf,
  })

  return {
    get(fingerprint) {
      const answer = answers.get(fingerprint)
      if (answer === undefined) return null
      if (clock.time() < answer.storedAt + answer.ttlMs) return answer
      answers.delete(fingerprint)
      return null
    },
    set: (fingerprint, answer) => void answers.set(fingerprint, answer),
    async clear(selection) {
      let cleared = 0
      // A copy of the keys, because look-ups in between change the order of the cache.
      for (const [at, fingerprint] of [...answers.keys()].entries()) {
        if (at > 0 && at % LOOKED_AT_ONCE === 0) await othersTurn()
        const answer = answers.peek(fingerprint)
        if (answer !== undefined && isSelected(answer, selection) && answers.delete(fingerprint)) cleared++
      }
      return cleared
    },
    size: () => ({ entries: answers.size, bytes: answers.calculatedSize }),
  }
}

function bytesOf({ text, count, pace }: CachedAnswer, fingerprint: string): number {
  const characters = fingerprint.length + text.length + count.length
  return ENTRY_BYTES + characters * BYTES_PER_CHARACTER + pace.length * BYTES_PER_MOMENT
}
