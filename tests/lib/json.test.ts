import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { excessIn, hasDoubles, isDeeperThan, isObject, parseJson, patchMembers, topLevelMembers } from '#lib/json.ts'

/** Writes a value as JSON in some other way than the usual one: with white space wherever it is allowed. */
function spaced(value: unknown, space: string): string {
  if (Array.isArray(value))
    return `[${space}${value.map(item => spaced(item, space)).join(`${space},${space}`)}${space}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}${space}:${space}${spaced(item, space)}`,
  )
  return `{${space}${members.join(`${space},${space}`)}${space}}`
}

const space = fc.constantFrom('', ' ', '\n', '\t\r\n ')
const plainKey = fc.string({ unit: fc.constantFrom('a', 'b', '_', 'é', '語', '{', '[', ',', ':', ' ') })
/** Longer than what goes into one piece with its neighbours. */
const long = fc.constantFrom('x'.repeat(600), ['é'.repeat(2000)], '語\n'.repeat(400))
const objects = fc.dictionary(
  plainKey,
  fc.oneof({ weight: 4, arbitrary: fc.jsonValue({ maxDepth: 3 }) }, { weight: 1, arbitrary: long }),
  { maxKeys: 6 },
)
const texts = fc
  .tuple(objects, space)
  .map(([value, between]) => ({ value, text: between + spaced(value, between) + between }))

function piecesOf(text: string, changes: Record<string, string | null>): readonly string[] | null {
  const members = topLevelMembers(text)
  return (
    members &&
    patchMembers(
      text,
      members,
      Object.entries(changes).map(([key, value]) => ({ key, text: value })),
    )
  )
}

function patched(text: string, changes: Record<string, string | null>): string | null {
  return piecesOf(text, changes)?.join('') ?? null
}

test('tells objects from everything else', () => {
  expect([{}, { a: 1 }].map(isObject)).toEqual([true, true])
  expect([null, [], 'a', 1, undefined, true].map(isObject)).toEqual([false, false, false, false, false, false])
})

test.each(['', '{', '{"a":1', '<html>', '{"a":1}}', 'undefined', "{'a':1}"])('parses %j as nothing', text => {
  expect(parseJson(text)).toBeUndefined()
})

test('parses what is JSON', () => {
  expect(parseJson('{"a":[1,null]}')).toEqual({ a: [1, null] })
  expect(parseJson('null')).toBeNull()
})

describe('depth', () => {
  test.each([
    ['1', 0, false],
    ['[]', 0, true],
    ['[]', 1, false],
    ['{"a":[1]}', 1, true],
    ['{"a":[1]}', 2, false],
    ['{"a":"[[[["}', 1, false],
    ['{"a":"\\"[[[["}', 1, false],
    ['[[],[],[[]]]', 2, true],
    ['[{},{},{}]', 2, false],
  ] as const)('%s against %i', (text, limit, deeper) => {
    expect(excessIn(text, limit)).toBe(deeper ? 'depth' : null)
    expect(isDeeperThan(JSON.parse(text), limit)).toBe(deeper)
  })

  test('is the same for a text and for its value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(6), space, (value, limit, between) => {
        expect(excessIn(spaced(value, between), limit) === 'depth').toBe(isDeeperThan(value, limit))
      }),
    )
  })

  test('is found in ten megabytes of brackets without parsing them', () => {
    const before = process.cpuUsage()

    expect(excessIn('['.repeat(10_000_000), 64)).toBe('depth')
    expect(process.cpuUsage(before).user).toBeLessThan(500_000)
  })

  test('of a text that ends inside a string is that of what stands before', () => {
    expect(excessIn('["abc', 1)).toBeNull()
  })
})

describe('the members of all objects, and as many objects and lists', () => {
  test.each([
    ['{"a":1,"b":[{"c":2}]}', 3, null],
    ['{"a":1,"b":[{"c":2}]}', 2, 'members'],
    ['{"a":1,"b":2}', 2, null],
    ['{"a":1,"b":2}', 1, 'members'],
    ['{"a":":::","b:":"\\":{"}', 2, null],
    ['[1,2,3]', 1, null],
    ['[{},[],{}]', 4, null],
    ['[{},[],{}]', 3, 'members'],
  ] as const)('of %s against %i', (text, membersMax, excess) => {
    expect(excessIn(text, 64, membersMax)).toBe(excess)
  })
})

describe('the members of an object', () => {
  test('are found with their places', () => {
    const text = ' { "a" : [1, {"b": 2}] , "c":"}" , "d":-1.5e3}'

    const members = topLevelMembers(text)

    const values = [...(members ?? [])].map(({ key, valueStart, end }) => [key, text.slice(valueStart, end)])
    expect(values).toEqual([
      ['a', '[1, {"b": 2}]'],
      ['c', '"}"'],
      ['d', '-1.5e3'],
    ])
  })

  test.each(['[1]', '"a"', '1', 'null', '', '  '])('of %j are none', text => {
    expect(topLevelMembers(text)).toBeNull()
  })

  test.each(['{"a":1,"a":2}', '{"\\u0061":1}', '{"a\\"b":1}', '{"a":1,"b":2,"a":3}'])(
    'of %s cannot be patched safely',
    text => {
      expect(topLevelMembers(text)).toBeNull()
    },
  )

  test('are not looked for where there are very many', () => {
    const body = (count: number) =>
      JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, at])))

    expect(topLevelMembers(body(64))?.length).toBe(64)
    expect(topLevelMembers(body(65))).toBeNull()
  })

  test('do not include those of inner objects, and inner duplicates do no harm', () => {
    expect(topLevelMembers('{"a":{"b":1,"b":2},"c":[{"a":1}]}')?.map(({ key }) => key)).toEqual(['a', 'c'])
  })

  test('are those that the parser finds, with the same values', () => {
    fc.assert(
      fc.property(texts, ({ value, text }) => {
        const members = topLevelMembers(text)

        expect(members).not.toBeNull()
        const found = [...(members ?? [])].map(({ key, valueStart, end }) => [
          key,
          JSON.parse(text.slice(valueStart, end)),
        ])
        expect(Object.fromEntries(found)).toEqual(JSON.parse(text))
        expect(found.map(([key]) => key).sort()).toEqual(Object.keys(value).sort())
      }),
    )
  })

  test('survive strings of quotes and backslashes', () => {
    const nasty = fc.string({ unit: fc.constantFrom('\\', '"', '{', '}', ',', ':', '\n', 'n', 'u') })
    fc.assert(
      fc.property(nasty, nasty, (first, second) => {
        const text = JSON.stringify({ a: first, b: [second], c: 1 })

        const members = topLevelMembers(text)

        const c = members?.find(({ key }) => key === 'c')
        expect(text.slice(c?.valueStart, c?.end)).toBe('1')
      }),
    )
  })
})

describe('members that occur twice', () => {
  test.each([
    ['{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}', false],
    ['{"a":"\\"a\\":1, \\"a\\":2","b":":::"}', false],
    ['{"__proto__":{"a":1},"toString":1}', false],
    ['[1, "a:b", null]', false],
    ['{"a":1,"a":1}', true],
    ['[{"a":{"b":1,"c":[],"b":1}}]', true],
    ['{"a":{"b":1,"\\u0062":2}}', true],
    ['{"a":{"__proto__":1,"__proto__":2}}', true],
    ['{"a":{"b":1},"a":{"b":1,"c":2,"d":3}}', true],
  ])('in %s: %p', (text, expected) => {
    expect(hasDoubles(text, JSON.parse(text))).toBe(expected)
  })

  test('are in no text that was written of a value', () => {
    fc.assert(fc.property(texts, ({ text }) => !hasDoubles(text, JSON.parse(text))))
  })
})

describe('patching', () => {
  test('changes one value and leaves every other byte alone', () => {
    const text = '{ "model" : "a",\n  "seed": 12345678901234567890, "messages":[ ] }'

    expect(patched(text, { model: '"b"' })).toBe('{"model" : "b",\n  "seed": 12345678901234567890, "messages":[ ]}')
  })

  test.each([
    ['{}', {}, '{}'],
    ['{}', { a: '1' }, '{"a":1}'],
    ['{ }', { a: null }, '{}'],
    ['{"a":1}', { a: null }, '{}'],
    ['{"a":1,"b":2}', { a: null }, '{"b":2}'],
    ['{"a":1,"b":2}', { b: null }, '{"a":1}'],
    ['{"a":1,"b":2,"c":3}', { b: null }, '{"a":1,"c":3}'],
    ['{"a":1,"b":2,"c":3}', { a: null, c: null }, '{"b":2}'],
    ['{"a":1,"b":2,"c":3}', { a: '9', b: null, c: '8' }, '{"a":9,"c":8}'],
    ['{"a":1}', { b: '2', a: '3' }, '{"a":3,"b":2}'],
    ['{"a":1}', { 'b"c': '2' }, '{"a":1,"b\\"c":2}'],
  ] as const)('%s with %j', (text, changes, expected) => {
    expect(patched(text, changes)).toBe(expected)
  })

  test('leaves what is long in a piece of its own', () => {
    const messages = JSON.stringify([{ role: 'user', content: 'word '.repeat(1000) }])

    expect(piecesOf(`{"model":"a","n":1,"messages":${messages},"top_p":1}`, { model: '"b"', cache: '0' })).toEqual([
      '{"model":"b"',
      `,"n":1,"messages":${messages},"top_p":1`,
      ',"cache":0}',
    ])
    expect(piecesOf(`{"model":"a","messages":[]}`, { messages })).toEqual(['{"model":"a","messages":', messages, '}'])
  })

  test('gives what changing the parsed object gives', () => {
    const change = fc.option(fc.jsonValue({ maxDepth: 2 }), { nil: undefined })
    fc.assert(
      fc.property(
        texts,
        fc.dictionary(plainKey, change, { maxKeys: 4 }),
        fc.array(fc.nat(5)),
        ({ text, value }, extra, picks) => {
          const known = picks.map(pick => Object.keys(value)[pick]).filter(key => key !== undefined)
          const wanted = { ...Object.fromEntries(known.map((key, at) => [key, at % 2 ? at : undefined])), ...extra }
          const changes = Object.entries(wanted).map(([key, to]) => [key, to === undefined ? null : JSON.stringify(to)])

          const result = patched(text, Object.fromEntries(changes))

          const expected: Record<string, unknown> = { ...JSON.parse(text), ...wanted }
          for (const key in wanted) if (wanted[key] === undefined) delete expected[key]
          expect(JSON.parse(result ?? '')).toEqual(JSON.parse(JSON.stringify(expected)))
        },
      ),
    )
  })

  test('keeps the bytes of what it does not change', () => {
    fc.assert(
      fc.property(texts, ({ text }) => {
        expect(patched(text, { zzz: '1' })).toEndWith('"zzz":1}')
        expect(JSON.parse(patched(text, {}) ?? '')).toEqual(JSON.parse(text))
      }),
    )
  })
})
