import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createMemoryCache } from '#stores/memory-cache.ts'
import { answerOf, cacheContract } from '#tests/contract/cache.ts'
import { fakeClock } from '#tests/support/clock.ts'

cacheContract('the cache in memory', clock => ({
  store: createMemoryCache({ clock, bytesMax: 10_000_000 }),
  close() {},
}))

describe('the memory of the cache', () => {
  test('is bounded: the least recently used answers are dropped', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 40 }), sizes => {
        const clock = fakeClock()
        const cache = createMemoryCache({ clock, bytesMax: 60_000 })
        for (const [at, size] of sizes.entries()) void cache.set(`k${at}`, answerOf('x'.repeat(size), clock))
        const kept = sizes.filter((_, at) => cache.get(`k${at}`) !== null)

        expect(kept.reduce((sum, size) => sum + 2 * size, 0)).toBeLessThanOrEqual(60_000)
        expect(cache.get(`k${sizes.length - 1}`)).not.toBeNull()
        expect(cache.size().entries).toBe(kept.length)
        expect(cache.size().bytes).toBeLessThanOrEqual(60_000)
      }),
    )
  })

  test('does not block the event loop while many answers are cleared', async () => {
    const clock = fakeClock()
    const cache = createMemoryCache({ clock, bytesMax: 100_000_000 })
    for (let at = 0; at < 20_000; at++) void cache.set(`k${at}`, answerOf('{}', clock, { key: `${at % 2}` }))
    let turns = 0
    setImmediate(() => turns++)

    expect(await cache.clear({ key: '0' })).toBe(10_000)
    expect([turns, cache.get('k0'), cache.size().entries]).toEqual([1, null, 10_000])
  })

  test('does not store an answer that would displace most others', () => {
    const clock = fakeClock()
    const cache = createMemoryCache({ clock, bytesMax: 80_000 })
    void cache.set('small', answerOf('x'.repeat(1000), clock))
    void cache.set('large', answerOf('x'.repeat(6000), clock))

    expect([cache.get('small') !== null, cache.get('large')]).toEqual([true, null])
  })
})
