import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { fingerprint, type Question } from '#cache/fingerprint.ts'
import { createFingerprints } from '#cache/fingerprints.ts'
import type { Caller } from '#core/caller.ts'
import { anyone } from '#tests/support/calls.ts'

const web: Caller = { ...anyone, id: 'web', role: 'caller' }
const callers: readonly Caller[] = [
  anyone,
  web,
  { ...web, id: 'app' },
  { ...web, tenant: 'bank' },
  { ...web, models: new Set(['chat']) },
]
const texts = ['Hi', 'Ho', 'Hi there'].flatMap(content =>
  [0, 1].map(temperature => JSON.stringify({ messages: [{ role: 'user', content }], temperature })),
)
const questions: fc.Arbitrary<Question> = fc
  .record({
    endpoint: fc.constantFrom('chat', 'completions', 'embeddings'),
    caller: fc.constantFrom(...callers),
    address: fc.constantFrom('203.0.113.7', '203.0.113.8'),
    scope: fc.constantFrom('key', 'tenant'),
    models: fc.constantFrom(['chat'], ['other'], ['chat', 'other'], []),
    text: fc.constantFrom(...texts),
    server: fc.constantFrom(null, 'a', 'b'),
    strategy: fc.constantFrom(null, 'a', 'b'),
    headers: fc.constantFrom(undefined, { 'anthropic-beta': 'a' }, { 'anthropic-beta': 'b' }),
  })
  .map(parts => ({ ...parts, body: JSON.parse(parts.text) }))

/** A question that counts how often its body is looked at. */
function counted(more: Partial<Question> = {}): { readonly question: Question; readonly reads: () => number } {
  let reads = 0
  const body = { messages: [{ role: 'user', content: 'Hi' }] }
  const question = {
    endpoint: 'chat' as const,
    caller: web,
    address: '203.0.113.7',
    scope: 'key' as const,
    models: ['chat'],
    text: JSON.stringify(body),
    server: null,
    strategy: null,
    ...more,
    get body() {
      reads++
      return body
    },
  }
  return { question, reads: () => reads }
}

describe('remembered fingerprints', () => {
  test('are those of the question, whatever was remembered before', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(questions, fc.boolean()), { maxLength: 12 }), asked => {
        const fingerprints = createFingerprints()
        for (const [question, isHit] of asked) {
          const name = fingerprints.of(question)
          expect(name).toBe(fingerprint(question))
          if (isHit && name !== null) fingerprints.remember(question, name)
        }
      }),
      { numRuns: 5000 },
    )
  })

  test('are found without a look at the body, from another address and by a key that was looked up anew too', () => {
    const fingerprints = createFingerprints()
    const first = counted()
    const name = fingerprints.of(first.question) ?? ''
    fingerprints.remember(first.question, name)
    const again = counted({
      address: '203.0.113.8',
      caller: { ...web },
      text: `${first.question.text.slice(0, 5)}${first.question.text.slice(5)}`,
    })

    expect(fingerprints.of(again.question)).toBe(name)
    expect([first.reads(), again.reads()].map(Boolean)).toEqual([true, false])
  })

  test('are forgotten with the answers', () => {
    const fingerprints = createFingerprints()
    const { question, reads } = counted()
    const name = fingerprints.of(question) ?? ''
    fingerprints.remember(question, name)
    const before = reads()
    fingerprints.clear()

    expect(fingerprints.of(question)).toBe(name)
    expect(reads()).toBeGreaterThan(before)
  })

  test('are kept only of what has come again', () => {
    const fingerprints = createFingerprints()
    const { question, reads } = counted()
    fingerprints.of(question)
    const once = reads()
    fingerprints.of(question)

    expect(reads()).toBe(2 * once)
  })
})
