import { Clears } from '#cache/clears.ts'
import { createFingerprints, type Fingerprints } from '#cache/fingerprints.ts'
import { createTiers } from '#cache/tiers.ts'
import type { Config } from '#config/schema.ts'
import type { CacheSelection, CacheStore } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import type { Crew } from '#core/crew.ts'
import { createFlights, type Flights } from '#gateway/answers/share.ts'
import { createMemoryCache } from '#stores/memory-cache.ts'
import type { Redis } from '#stores/redis.ts'
import { createRedisCache } from '#stores/redis-cache.ts'

/** The store of answers, and the flights: answers under way that several requests may share. */
export interface Cache {
  readonly store: CacheStore
  readonly fingerprints: Fingerprints
  readonly flights: Flights
  close(): void
}

/** The share of its memory that a process fills with stored answers at most. They stay, so that a process too small for
 * `cache.max_memory` would end up refusing all calls for lack of memory. With half of it, one of 256 MB did: it takes 95
 * MB itself, and answers a quarter more than is counted for them. */
const MEMORY_SHARE = 0.25

/** What a cache is made with. */
interface CacheDeps {
  readonly clock: Clock
  readonly redis: Redis | null
  readonly crew: Crew
  /** How much memory the process may use, in bytes. */
  readonly memoryMax: number
}

/** Creates the cache: in the memory of this process, with Redis behind it where there is one. */
export function composeCache(
  { cache: { max_memory: wished } }: Config,
  { clock, redis, crew, memoryMax }: CacheDeps,
): Cache {
  const bytesMax = Math.min(wished, Math.floor(memoryMax * MEMORY_SHARE))
  const fingerprints = createFingerprints()
  const flights = createFlights(clock)
  const clears = new Clears()
  const near = forgetful(createMemoryCache({ clock, bytesMax }), selection => {
    fingerprints.clear()
    flights.clear()
    clears.note(selection, clock.now())
  })
  const far = redis === null ? null : createRedisCache({ redis, clock, onClear: near.clear })
  const whole = far === null ? near : createTiers(near, far)
  const mindful = unlessCleared(whole, clears)
  const store = crew.size === 1 ? mindful : clearTogether(mindful, near, crew)
  return { store, fingerprints, flights, close: () => far?.close() }
}

/** When answers are cleared, also drops remembered fingerprints of questions, and lets no new request join an answer
 * under way. */
function forgetful(near: CacheStore, onClear: (selection: CacheSelection) => void): CacheStore {
  return {
    ...near,
    clear(selection) {
      onClear(selection)
      return near.clear(selection)
    },
  }
}

/** Does not store an answer that was under way when answers like it were cleared. */
function unlessCleared(cache: CacheStore, clears: Clears): CacheStore {
  return {
    ...cache,
    set: (fingerprint, answer, askedAt = Infinity) =>
      clears.mean(answer, askedAt) ? undefined : cache.set(fingerprint, answer),
  }
}

/** Clears the memory of the other workers too, and clears this one when another worker says so. */
function clearTogether(cache: CacheStore, near: CacheStore, crew: Crew): CacheStore {
  crew.listen(news => {
    if (news.type === 'cache-cleared') void near.clear(news.selection)
  })
  return {
    ...cache,
    async clear(selection) {
      try {
        return await cache.clear(selection)
      } finally {
        // After Redis was cleared: before, the other workers could read the answers from there again.
        crew.tell({ type: 'cache-cleared', selection })
      }
    },
  }
}
