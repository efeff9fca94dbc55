import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { canonical } from '#cache/canonical.ts'
import { isObject, type JsonValue } from '#lib/json.ts'

/** Texts that look like what the form itself is written with. */
const tricky = fc.oneof(
  fc.constantFrom(
    '',
    'n1;',
    '1:a',
    '2:',
    'n',
    ';',
    ':',
    '[',
    ']',
    '{',
    '}',
    'z',
    't',
    '"',
    '\\',
    '0',
    '\ud800',
    '\udfff',
  ),
  fc.string({ unit: fc.constantFrom('1', '2', ':', 'n', ';', '[', ']', '{', '}', 'a'), maxLength: 6 }),
)
const { value } = fc.letrec<{ value: JsonValue }>(tie => ({
  value: fc.oneof(
    { maxDepth: 3 },
    tricky,
    fc.integer({ min: -12, max: 120 }),
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -2, max: 2 }),
    fc.constantFrom(null, true, false),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(tricky, tie('value'), { maxKeys: 3 }),
  ),
}))

/** A value in words of JSON, the members of its objects in order. No value has these words in it. */
function inWords(of: JsonValue): string {
  return JSON.stringify(of, (_, part: unknown) =>
    isObject(part) ? ['object', ...Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))] : part,
  )
}

describe('the canonical form', () => {
  test('is the same exactly when the value is', () => {
    fc.assert(
      fc.property(value, value, fc.boolean(), (one, drawn, twin) => {
        const other = twin ? structuredClone(one) : drawn

        return (canonical(one) === canonical(other)) === (inWords(one) === inWords(other))
      }),
      { numRuns: 20_000 },
    )
  })

  test('is one text for each of many values', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 50, maxLength: 50 }), values => {
        const words = new Set(values.map(inWords))

        expect(new Set(values.map(each => canonical(each))).size).toBe(words.size)
      }),
      { numRuns: 200 },
    )
  })

  test('tells where a number ends and a length begins', () => {
    expect(canonical([1, 'ab8:abcdefgh'])).not.toBe(canonical([11, 'ab', 'abcdefgh']))
  })

  test('puts members in order, few or many', () => {
    for (const count of [2, 15, 16, 17, 100]) {
      const members = Array.from({ length: count }, (_, at) => [`k${(at * 37) % count}`, at] as const)

      expect(canonical(Object.fromEntries(members))).toBe(canonical(Object.fromEntries(members.toReversed())))
    }
  })

  test('leaves out what is named, at the outermost level only', () => {
    const without = new Set(['a'])

    expect(canonical({ a: 1, b: { a: 2 } }, without)).toBe(canonical({ b: { a: 2 } }))
  })

  test('is none of a number that parsing has changed', () => {
    for (const text of ['9007199254740993', '1e400', '[{"a":-1e400}]']) expect(canonical(JSON.parse(text))).toBeNull()
  })
})
