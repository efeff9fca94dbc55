import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createSseParser, type SseEvent, SseOverflow, writeSse } from '#lib/sse.ts'
import { everySplit, piecesOf, seededSplits } from '#tests/support/splits.ts'

function parse(pieces: readonly string[]): SseEvent[] {
  const parser = createSseParser()
  return [...pieces.flatMap(piece => parser.push(piece)), ...parser.end()]
}

function dataOf(text: string): string[] {
  return parse([text]).map(event => event.data)
}

/** The pieces of a body as text, decoded as a stream is. */
function textPieces(body: string, split: readonly number[]): string[] {
  const decoder = new TextDecoder()
  return piecesOf(body, split).map(piece => decoder.decode(piece, { stream: true }))
}

test.each([
  ['one event', 'data: a\n\n', ['a']],
  ['several events', 'data: a\n\ndata: b\n\n', ['a', 'b']],
  ['no space after the colon', 'data:a\n\n', ['a']],
  ['only the first space taken off', 'data:  a\n\n', [' a']],
  ['lines joined', 'data: a\ndata: b\n\n', ['a\nb']],
  ['a data field without a colon', 'data\n\n', ['']],
  ['an empty data field', 'data:\n\n', ['']],
  ['CR LF', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
  ['CR alone', 'data: a\r\rdata: b\r\r', ['a', 'b']],
  ['mixed line ends', 'data: a\r\n\ndata: b\n\r\n', ['a', 'b']],
  ['a comment before all else dropped', ': PROCESSING\ndata: a\n\n', ['a']],
  ['a comment behind a bare error dropped', '{"error":1}\n\n: PROCESSING\ndata: a\n\n', ['{"error":1}', 'a']],
  ['comments dropped', ': PROCESSING\n\n:\n\ndata: a\n: in between\ndata: b\n\n', ['a\nb']],
  ['a mark of the byte order', '\ufeffdata: a\n\n', ['a']],
  ['unknown fields ignored', 'id: 1\nretry: 5\nfoo: bar\ndatas: x\ndata: a\n\n', ['a']],
  ['an event without data', 'event: ping\n\ndata: a\n\n', ['a']],
  ['blank lines in plenty', '\n\n\ndata: a\n\n\n\n', ['a']],
  ['an unfinished last event', 'data: a\n\ndata: b', ['a', 'b']],
  ['an unfinished last event with its line end', 'data: a\n\ndata: b\n', ['a', 'b']],
  ['an unfinished last event that ends with CR', 'data: a\r\n\r\ndata: b\r', ['a', 'b']],
  [
    'JSON without a field before it',
    'data: a\n\n{\n  "error": {\n    "code": 1\n  }\n}\n',
    ['a', '{\n  "error": {\n    "code": 1\n  }\n}'],
  ],
  ['an array of it', '[{"error":1}\r\n]\r\n\r\ndata: a\n\n', ['[{"error":1}\n]', 'a']],
  ['no such JSON inside an event', 'data: a\n{"b":1}\n\n', ['a']],
  ['nothing', '', []],
] as const)('reads %s', (_, text, expected) => {
  expect(dataOf(text)).toEqual([...expected])
})

test('keeps the name of an event, and forgets it with the event', () => {
  expect(parse(['event: error\ndata: a\n\ndata: b\n\nevent:x\ndata: c\n\n'])).toEqual([
    { name: 'error', data: 'a' },
    { name: '', data: 'b' },
    { name: 'x', data: 'c' },
  ])
})

test('forgets the name of an event that had no data', () => {
  expect(parse(['event: ping\n\ndata: a\n\n'])).toEqual([{ name: '', data: 'a' }])
})

test('reports an event as soon as its blank line is there', () => {
  const parser = createSseParser()

  expect(parser.push('data: a\n')).toEqual([])
  expect(parser.push('\n')).toEqual([{ name: '', data: 'a' }])
})

test('knows whether it stands between two events', () => {
  const parser = createSseParser()
  const between = ['data: a\n\n', 'da', 'ta: b\n', '\n', ': comment\n', '\n'].map(piece => {
    parser.push(piece)
    return parser.between
  })

  expect(between).toEqual([true, false, false, true, false, true])
})

test('waits for the LF that may follow a CR', () => {
  const parser = createSseParser()

  expect(parser.push('data: a\r\n\r')).toEqual([])
  expect(parser.push('\ndata: b\r\n\r\n')).toEqual([
    { name: '', data: 'a' },
    { name: '', data: 'b' },
  ])
})

describe('the result does not depend on the split', () => {
  const body = [
    ': comment\r\n\r\n',
    'event: error\r\ndata: {"a":"é語🌍"}\r\n\r\n',
    'data: one\ndata: two\n\n',
    '\ufeffdata: no mark here\n\n',
    'data: last',
  ].join('')

  test('at any one byte', () => {
    const whole = parse([body])

    for (const split of everySplit(body)) expect(parse(textPieces(body, split))).toEqual(whole)
    expect(
      parse(
        textPieces(
          body,
          Array.from({ length: 500 }, (_, at) => at),
        ),
      ),
    ).toEqual(whole)
  })

  test('of any text', () => {
    const bodies = fc.string({
      unit: fc.constantFrom('data: ', 'data:', 'event: x', '\n', '\r', '\r\n', ':', 'é', '🌍', 'a'),
    })
    fc.assert(
      fc.property(bodies, fc.nat(), (text, seed) => {
        const whole = parse([text])

        for (const split of seededSplits(text, 5, seed)) expect(parse(textPieces(text, split))).toEqual(whole)
      }),
    )
  })
})

test('reads back what it writes', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), values => {
      const text = values.map(value => writeSse(JSON.stringify(value))).join('')

      expect(dataOf(text).map(data => JSON.parse(data))).toEqual(JSON.parse(JSON.stringify(values)))
    }),
  )
})

describe('a server that never ends an event', () => {
  const megabyte = 'x'.repeat(1024 * 1024)

  test('is stopped in the middle of a line', () => {
    const parser = createSseParser()
    parser.push('data: ')

    expect(() => {
      for (let count = 0; count < 16; count++) parser.push(megabyte)
    }).toThrow(SseOverflow)
  })

  test('is not confused with one that sends a picture', () => {
    const parser = createSseParser()
    parser.push('data: ')
    for (let count = 0; count < 15; count++) parser.push(megabyte)

    expect(parser.push('\n\n').map(({ data }) => data.length)).toEqual([15 * megabyte.length])
  })

  test('is stopped in the middle of an event of many lines', () => {
    const parser = createSseParser()

    expect(() => {
      for (let line = 0; line < 17; line++) parser.push(`data: ${megabyte}\n`)
    }).toThrow(SseOverflow)
  })

  test('is not confused with one that sends many events', () => {
    const parser = createSseParser()
    let events = 0

    for (let event = 0; event < 40; event++) events += parser.push(`data: ${megabyte}\n\n`).length

    expect(events).toBe(40)
  })
})

test('a long line that comes byte by byte is not looked through at each of them', () => {
  const parser = createSseParser()
  const read = parser.push(`data: ${'x'.repeat(900_000)}`)

  const begun = performance.now()
  for (let at = 0; at < 20_000; at++) read.push(...parser.push('y'))
  const took = performance.now() - begun
  read.push(...parser.push('\n\n'))

  expect(read.map(({ data }) => data.length)).toEqual([920_000])
  expect(took).toBeLessThan(1000)
})
