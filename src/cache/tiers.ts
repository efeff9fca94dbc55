import type { CacheStore } from '#core/cache.ts'

/** Puts a near cache before a far one, which several processes share: what is found far away is kept near. */
export function createTiers(near: CacheStore, far: CacheStore): CacheStore {
  return {
    get(fingerprint) {
      const found = near.get(fingerprint)
      if (found !== null) return found
      const distant = far.get(fingerprint)
      if (!(distant instanceof Promise)) return distant
      return distant.then(answer => {
        if (answer !== null) void near.set(fingerprint, answer)
        // It may have come near while the far one was asked.
        return answer ?? near.get(fingerprint)
      })
    },
    set(fingerprint, answer) {
      void near.set(fingerprint, answer)
      return far.set(fingerprint, answer)
    },
    async clear(selection) {
      const cleared = await near.clear(selection)
      try {
        return Math.max(cleared, await far.clear(selection))
      } finally {
        // What was asked for meanwhile may have been found far away, and have come near again.
        await near.clear(selection)
      }
    },
    size: near.size,
  }
}
