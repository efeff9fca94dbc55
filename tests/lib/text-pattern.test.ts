import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { type Chars, partsAround, TextPattern } from '#lib/text-pattern.ts'

const AROUND = ['data: {"id":"x","choices":[{"delta":{"content":', '},"n":null}],"pad":', '}\n\n']
const event = (said: string, pad: string) => `${AROUND[0]}${said}${AROUND[1]}${pad}${AROUND[2]}`
const json = (text: string) => JSON.stringify(text)
const sample = event('"a"', '"b"')

function pattern(): TextPattern {
  const parts = partsAround(sample, ['content', 'pad'])
  if (parts === null) throw new Error('the sample has both members')
  return new TextPattern(parts, 0)
}

/** Bytes behind others that are no part of them. */
function charsOf(bytes: Buffer): Chars {
  const before = 3
  return { bytes: Buffer.concat([Buffer.alloc(before), bytes]), start: before, chars: bytes.toString('latin1') }
}

/** What a pattern reads in one event, or `null`. */
function read(bytes: Buffer): string | null {
  const known = pattern()
  return known.match(charsOf(bytes), 0) === bytes.length ? known.text : null
}

test('reads every text that JSON can write, and finds its end', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), fc.boolean(), (text, ascii) => {
      const written = ascii ? json(text).replace(/[^\x20-\x7e]/g, escaped) : json(text)
      // What stands for bytes that could not be read is left to who reads the event as a whole.
      expect(read(Buffer.from(event(written, '"abc"')))).toBe(written.includes('\ufffd') ? null : text)
    }),
    { seed: 1, numRuns: 2000 },
  )
})

test('tells whether all that matched is ASCII, also around the text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }), fc.constantFrom('x', 'é'), (text, id) => {
      const known = new TextPattern([`{"id":"${id}","content":"`, '"}'], 0)
      const bytes = Buffer.from(`{"id":"${id}","content":${json(text)}}`)
      if (known.match(charsOf(bytes), 0) < 0) return
      expect(known.ascii).toBe(bytes.every(byte => byte < 128))
    }),
    { seed: 3, numRuns: 2000 },
  )
})

test('matches nothing that JSON would not read as the same event with another text', () => {
  const given = Buffer.from(event('"word"', '"abc"'))
  fc.assert(
    fc.property(fc.nat(given.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(given)
      bytes[at] = byte
      const said = read(bytes)
      if (said === null) return
      const parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes).slice(6))
      expect(parsed.choices[0].delta.content).toBe(said)
      expect({ ...parsed, choices: null, pad: null }).toEqual({ id: 'x', choices: null, pad: null })
    }),
    { seed: 2, numRuns: 5000 },
  )
})

test.each([
  ['an empty text', event('""', '"abc"')],
  ['an escape that is none', event('"\\x"', '"abc"')],
  ['a text without end', sample.slice(0, AROUND[0]?.length ?? 0).concat('"never')],
  ['an escape at the end', `${AROUND[0]}"\\`],
  ['a line feed in the text', event('"a\nb"', '"abc"')],
  ['another member', event('"a"', '"b","more":1')],
  ['null for the text', event('null', '"b"')],
  ['an escape where nobody looks', event('"a"', '"\\n"')],
])('does not match %s', (_, text) => {
  expect(read(Buffer.from(text))).toBeNull()
})

test('does not match bytes that are no UTF-8', () => {
  const bytes = Buffer.from(event('"a.b"', '"c"'))
  bytes[bytes.indexOf('.')] = 0xe4

  expect(read(bytes)).toBeNull()
})

test('does not match the beginning of an event', () => {
  expect(pattern().match(charsOf(Buffer.from(sample.slice(0, -1))), 0)).toBe(-1)
})

test.each([
  ['a name that is not there', '{"other":"a"}'],
  ['a name that is there twice', '{"content":"a","b":{"content":"c"}}'],
  ['a name that is there twice, once before a blank', '{"content":"a","b":{"content" :"c"}}'],
  ['a name that was there before a tab already', '{"content"\t:"a","content":"c"}'],
  ['a member that is no text', '{"content":["a"]}'],
  ['an escape beside it', '{"content":"a","c\\u006fntent":"b"}'],
  ['a text without end', '{"content":"a'],
])('no parts around %s', (_, text) => {
  expect(partsAround(text, ['content'])).toBeNull()
})

test('parts around texts are the same in whatever order they are asked for', () => {
  expect(partsAround(sample, ['pad', 'content'])).toEqual(partsAround(sample, ['content', 'pad']))
})

test('parts around a text that has quotes in it', () => {
  expect(partsAround('{"content": "say \\"content\\":\\"x\\"","a":1}', ['content'])).toEqual([
    '{"content": "',
    '","a":1}',
  ])
})

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
