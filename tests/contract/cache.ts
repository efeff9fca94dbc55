import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { CachedAnswer, CacheStore } from '#core/cache.ts'
import { type FakeClock, fakeClock } from '#tests/support/clock.ts'

/** How long the answers of these tests hold. */
export const TTL_MS = 60_000

/** A stored answer; it is of now. */
export function answerOf(text: string, clock: Pick<FakeClock, 'time'>, more: Partial<CachedAnswer> = {}): CachedAnswer {
  return {
    form: 'plain',
    text,
    count: '',
    id: 'chatcmpl-1',
    created: 1_700_000_000,
    pace: [],
    usage: { input: 1, cacheRead: 0, cacheWrite: 0, output: 2, reasoning: 0, estimated: false },
    characters: text.length,
    model: 'chat',
    target: 'gpu/m',
    tenant: 'shop',
    key: 'web',
    storedAt: clock.time(),
    ttlMs: TTL_MS,
    ...more,
  }
}

const OF_PARTS = {
  ...{ input: 9, cacheRead: 8, cacheWrite: 7, output: 6, reasoning: 0, estimated: false },
  parts: { audioInput: 5, audioCacheRead: 4, audioOutput: 3, cacheWriteHour: 2, searches: 1 },
}

/** A store under test, and what has to be ended after it. */
export interface StoreUnderTest {
  readonly store: CacheStore
  close(): void | Promise<void>
}

let names = 0
const fresh = (kind: 'chat' | 'embed' = 'chat') => `${kind}:${String(++names).padStart(64, '0')}`

/** What every store promises, wherever it keeps the answers. */
export function cacheContract(name: string, create: (clock: FakeClock) => StoreUnderTest | Promise<StoreUnderTest>) {
  describe(name, () => {
    const clock = fakeClock(Date.now())
    let made: StoreUnderTest | null = null
    const store = (): CacheStore => {
      if (made === null) throw new Error('the store is not open')
      return made.store
    }

    beforeAll(async () => {
      made = await create(clock)
    })

    afterAll(async () => {
      await made?.close()
    })

    test('has nothing that was not stored', async () => {
      expect(await store().get(fresh())).toBeNull()
    })

    test('gives back what was stored, short or long, whatever is in it', async () => {
      const texts = ['{}', '{"content":"ä\\n€\u2028😀"}', `"${'long '.repeat(20_000)}"`]
      for (const text of texts) {
        const key = fresh()
        const answer = answerOf(text, clock, { count: 'data: {}\n\n', pace: [0, 12], form: 'stream', usage: OF_PARTS })
        await store().set(key, answer)

        expect(await store().get(key)).toEqual(answer)
      }
    })

    test('takes the last answer to a question', async () => {
      const key = fresh()
      await store().set(key, answerOf('"old"', clock))
      await store().set(key, answerOf('"new"', clock))

      expect((await store().get(key))?.text).toBe('"new"')
    })

    test('forgets an answer after its time, not before', async () => {
      const key = fresh('embed')
      await store().set(key, answerOf('[1]', clock))
      clock.advance(TTL_MS - 1)
      const before = await store().get(key)
      clock.advance(1)
      const after = await store().get(key)

      expect([before?.text, after]).toEqual(['[1]', null])
    })

    const owners = [
      { model: 'chat', tenant: 'shop', key: 'web' },
      { model: 'chat', tenant: 'shop', key: 'app' },
      { model: 'other', tenant: 'shop', key: 'web' },
      { model: 'chat', tenant: 'bank', key: 'web' },
    ]
    for (const [selection, left] of [
      [{}, []],
      [{ model: 'chat' }, [2]],
      [{ tenant: 'shop' }, [3]],
      [{ key: 'web' }, [1]],
      [{ model: 'chat', tenant: 'shop', key: 'web' }, [1, 2, 3]],
      [{ tenant: 'nobody' }, [0, 1, 2, 3]],
    ] as const) {
      test(`forgets what is meant by ${JSON.stringify(selection)}, and nothing else`, async () => {
        await store().clear({})
        const keys = owners.map((_, at) => fresh(at % 2 === 0 ? 'chat' : 'embed'))
        for (const [at, key] of keys.entries()) await store().set(key, answerOf('{}', clock, owners[at]))

        const cleared = await store().clear(selection)
        const found = await Promise.all(keys.map(key => store().get(key)))

        expect(found.flatMap((answer, at) => (answer === null ? [] : [at]))).toEqual([...left])
        expect(cleared).toBe(owners.length - left.length)
      })
    }
  })
}
