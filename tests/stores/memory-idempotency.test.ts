import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createMemoryIdempotency } from '#stores/memory-idempotency.ts'
import { answerOf, idempotencyContract, keyed, TTL_MS } from '#tests/contract/idempotency.ts'
import { fakeClock } from '#tests/support/clock.ts'

const wide = { ttlMs: TTL_MS, bytesMax: 1024 * 1024, answerBytesMax: 64 * 1024 }

idempotencyContract('the idempotency store in memory', clock => createMemoryIdempotency({ clock, ...wide }))

describe('the memory of the store', () => {
  async function keep(store: ReturnType<typeof createMemoryIdempotency>, key: string, body: string): Promise<void> {
    await store.claim(keyed({ key }))
    store.keep(key, 'first', answerOf(body))
  }

  test('does not store an answer that is too large, and frees its key', async () => {
    const store = createMemoryIdempotency({ clock: fakeClock(), ...wide, answerBytesMax: 10 })
    await keep(store, 'small', 'x'.repeat(10))
    await keep(store, 'large', 'x'.repeat(11))
    await keep(store, 'wide', 'ä'.repeat(6))

    const kinds = await Promise.all(['small', 'large', 'wide'].map(key => store.claim(keyed({ key, owner: 'second' }))))
    expect(kinds.map(({ kind }) => kind)).toEqual(['stored', 'claimed', 'claimed'])
  })

  test('is bounded: the least recently used answers are dropped', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 30 }), async sizes => {
        const bytesMax = 10_000
        const store = createMemoryIdempotency({ clock: fakeClock(), ...wide, bytesMax })
        for (const [at, size] of sizes.entries()) await keep(store, `k${at}`, 'x'.repeat(size))

        const found = await Promise.all(sizes.map((_, at) => store.claim(keyed({ key: `k${at}`, owner: 'second' }))))
        const kept = sizes.filter((_, at) => found[at]?.kind === 'stored')
        expect(kept.reduce((sum, size) => sum + 2 * size, 0)).toBeLessThanOrEqual(bytesMax)
        expect(found.at(-1)?.kind).toBe('stored')
      }),
    )
  })

  test('never drops the claim of a running request', async () => {
    const store = createMemoryIdempotency({ clock: fakeClock(), ...wide, bytesMax: 5000 })
    await store.claim(keyed())
    for (let at = 0; at < 100; at++) await keep(store, `k${at}`, 'x'.repeat(1000))

    expect(await store.claim(keyed({ owner: 'second' }))).toEqual({ kind: 'running' })
  })
})
