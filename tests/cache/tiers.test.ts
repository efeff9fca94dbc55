import { describe, expect, test } from 'bun:test'
import { createTiers } from '#cache/tiers.ts'
import type { CacheStore } from '#core/cache.ts'
import { createMemoryCache } from '#stores/memory-cache.ts'
import { answerOf } from '#tests/contract/cache.ts'
import { fakeClock } from '#tests/support/clock.ts'

/** A far cache with one answer, which stays there while it is being cleared.
 *
 * @param meanwhile What happens in that time. */
function slowToClear(meanwhile: () => Promise<void>): CacheStore {
  const clock = fakeClock(Date.now())
  const none = createMemoryCache({ clock, bytesMax: 1_000_000 })
  let answer: ReturnType<typeof answerOf> | null = answerOf('"there"', clock)
  return {
    ...none,
    get: () => Promise.resolve(answer),
    async clear() {
      await meanwhile()
      answer = null
      return 1
    },
  }
}

describe('what is cleared', () => {
  test('is gone, though somebody asked for it in the meantime', async () => {
    const near = createMemoryCache({ clock: fakeClock(Date.now()), bytesMax: 1_000_000 })
    const cache: CacheStore = createTiers(
      near,
      slowToClear(async () => {
        expect((await cache.get('chat:a'))?.text).toBe('"there"')
      }),
    )

    expect(await cache.clear({})).toBe(1)
    expect(await cache.get('chat:a')).toBeNull()
  })

  test('is gone here also when it cannot be cleared far away, which is told', async () => {
    const near = createMemoryCache({ clock: fakeClock(Date.now()), bytesMax: 1_000_000 })
    const cache: CacheStore = createTiers(
      near,
      slowToClear(async () => {
        await cache.get('chat:a')
        throw new Error('away')
      }),
    )

    await expect(cache.clear({})).rejects.toThrow('away')
    expect(near.get('chat:a')).toBeNull()
  })
})
