import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Clock } from '#core/clock.ts'
import type { Claim, IdempotencyStore, KeyedRequest, StoredAnswer } from '#core/idempotency.ts'
import { fakeClock } from '#tests/support/clock.ts'

/** A request under the key `k`, unless it says otherwise. */
export function keyed(more: Partial<KeyedRequest> = {}): KeyedRequest {
  return { key: 'k', fingerprint: 'f', owner: 'first', ...more }
}

/** A plain answer. */
export function answerOf(body: string): StoredAnswer {
  return { status: 200, contentType: 'application/json', body }
}

/** How long the stores of these tests remember an answer. */
export const TTL_MS = 1000

/** What every store promises, wherever it keeps the answers. */
export function idempotencyContract(name: string, create: (clock: Clock) => IdempotencyStore): void {
  function setup() {
    const clock = fakeClock()
    return { clock, store: create(clock) }
  }

  describe(name, () => {
    test('gives a key to one of many that want it at once', async () => {
      const { store } = setup()
      const owners = Array.from({ length: 100 }, (_, index) => `owner-${index}`)

      const claims = await Promise.all(owners.map(owner => store.claim(keyed({ owner }))))

      expect(claims.filter(({ kind }) => kind === 'claimed')).toHaveLength(1)
      expect(claims.filter(({ kind }) => kind === 'running')).toHaveLength(99)
    })

    test('gives the answer to whoever asks the same again', async () => {
      const { store } = setup()
      await store.claim(keyed())
      store.keep('k', 'first', answerOf('{}'))

      expect(await store.claim(keyed({ owner: 'second' }))).toEqual({ kind: 'stored', answer: answerOf('{}') })
      expect(await store.claim(keyed({ owner: 'third' }))).toEqual({ kind: 'stored', answer: answerOf('{}') })
    })

    test('tells another request under the same key, running or over', async () => {
      const { store } = setup()
      await store.claim(keyed())
      const during = await store.claim(keyed({ owner: 'second', fingerprint: 'g' }))
      store.keep('k', 'first', answerOf('{}'))
      const after = await store.claim(keyed({ owner: 'second', fingerprint: 'g' }))

      expect([during, after]).toEqual([{ kind: 'mismatch' }, { kind: 'mismatch' }])
    })

    test('frees a key that is released, for any request', async () => {
      const { store } = setup()
      await store.claim(keyed())
      store.release('k', 'first')

      expect(await store.claim(keyed({ owner: 'second', fingerprint: 'g' }))).toEqual({ kind: 'claimed' })
    })

    test('lets only the owner end a claim', async () => {
      const { store } = setup()
      await store.claim(keyed())
      store.release('k', 'second')
      store.keep('k', 'second', answerOf('wrong'))

      expect(await store.claim(keyed({ owner: 'second' }))).toEqual({ kind: 'running' })
    })

    test('does not let go of an answer that is released late', async () => {
      const { store } = setup()
      await store.claim(keyed())
      store.keep('k', 'first', answerOf('{}'))
      store.release('k', 'first')

      expect((await store.claim(keyed({ owner: 'second' }))).kind).toBe('stored')
    })

    test('forgets an answer after its time, not before', async () => {
      const { store, clock } = setup()
      await store.claim(keyed())
      store.keep('k', 'first', answerOf('{}'))
      clock.advance(TTL_MS - 1)
      const before = await store.claim(keyed({ owner: 'second' }))
      clock.advance(1)
      const after = await store.claim(keyed({ owner: 'second', fingerprint: 'g' }))

      expect([before.kind, after.kind]).toEqual(['stored', 'claimed'])
    })

    behavesLikeItsModel(setup)
  })
}

type Step =
  | { readonly do: 'claim'; readonly key: string; readonly owner: string; readonly fingerprint: string }
  | { readonly do: 'keep' | 'release'; readonly key: string; readonly owner: string }
  | { readonly do: 'wait'; readonly ms: number }

const key = fc.constantFrom('a', 'b')
const owner = fc.constantFrom('1', '2', '3')
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('claim' as const), key, owner, fingerprint: fc.constantFrom('f', 'g') }),
    fc.record({ do: fc.constantFrom('keep' as const, 'release' as const), key, owner }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: TTL_MS }) }),
  ),
  { maxLength: 40 },
)

/** One key as it should be. */
interface Expected {
  readonly fingerprint: string
  readonly owner: string
  until: number | null
}

function behavesLikeItsModel(setup: () => { readonly clock: ReturnType<typeof fakeClock>; store: IdempotencyStore }) {
  test('does what it should in any order of claims, ends and waits', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async all => {
        const { clock, store } = setup()
        const model = new Map<string, Expected>()
        for (const step of all) {
          if (step.do === 'wait') {
            clock.advance(step.ms)
            continue
          }
          const known = model.get(step.key)
          const live = known !== undefined && (known.until === null || clock.now() < known.until) ? known : undefined
          if (step.do === 'claim') {
            expect((await store.claim(step)).kind).toBe(kindOf(live, step.fingerprint))
            if (live === undefined) model.set(step.key, { ...step, until: null })
          } else if (live !== undefined && live.until === null && live.owner === step.owner) {
            if (step.do === 'keep') live.until = clock.now() + TTL_MS
            else model.delete(step.key)
          }
          if (step.do === 'keep') store.keep(step.key, step.owner, answerOf('{}'))
          if (step.do === 'release') store.release(step.key, step.owner)
        }
      }),
    )
  })
}

function kindOf(live: Expected | undefined, fingerprint: string): Claim['kind'] {
  if (live === undefined) return 'claimed'
  if (live.fingerprint !== fingerprint) return 'mismatch'
  return live.until === null ? 'running' : 'stored'
}
