import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { createLineSplitter } from '#lib/lines.ts'
import { everySplit, piecesOf } from '#tests/support/splits.ts'

function split(pieces: readonly string[]): string[] {
  const splitter = createLineSplitter()
  return [...pieces.flatMap(piece => splitter.push(piece)), ...splitter.end()]
}

test.each([
  ['lines', 'a\nb\n', ['a', 'b']],
  ['a last line without its end', 'a\nb', ['a', 'b']],
  ['blank lines left out', '\n\na\n  \n\r\nb\n', ['a', 'b']],
  ['CR kept, which JSON reads as white space', 'a\r\nb\r\n', ['a\r', 'b\r']],
  ['nothing', '', []],
  ['only blank lines', '\n \n', []],
] as const)('splits %s', (_, text, expected) => {
  expect(split([text])).toEqual([...expected])
})

test('gives a line as soon as it has ended', () => {
  const splitter = createLineSplitter()

  expect(splitter.push('{"a"')).toEqual([])
  expect(splitter.push(':1}\n{')).toEqual(['{"a":1}'])
  expect(splitter.end()).toEqual(['{'])
})

test('does not depend on how the text arrives', () => {
  const body = '{"a":"é🌍"}\r\n\n{"b":2}\n{"c":'
  const whole = split([body])

  for (const at of everySplit(body)) {
    const decoder = new TextDecoder()
    expect(split(piecesOf(body, at).map(piece => decoder.decode(piece, { stream: true })))).toEqual(whole)
  }
})

test('loses and adds nothing but blank lines', () => {
  const piece = fc.string({ unit: fc.constantFrom('a', 'b', '\n', ' ', '\r') })
  fc.assert(
    fc.property(fc.array(piece), pieces => {
      const lines = pieces
        .join('')
        .split('\n')
        .filter(line => line.trim() !== '')

      expect(split(pieces)).toEqual(lines)
    }),
  )
})

test('stops a server that never ends a line', () => {
  const splitter = createLineSplitter(10)

  expect(splitter.push('0123456789')).toEqual([])
  expect(() => splitter.push('0')).toThrow(RangeError)
  expect(() => createLineSplitter(10).push('a\n01234567890')).toThrow(RangeError)
})

test('takes any number of lines within the bound', () => {
  const splitter = createLineSplitter(10)

  expect(splitter.push('01234567\n'.repeat(100))).toHaveLength(100)
})

test('a long line that comes byte by byte is not looked through at each of them', () => {
  const splitter = createLineSplitter()
  const lines = splitter.push(`${'x'.repeat(900_000)}`)

  const begun = performance.now()
  for (let at = 0; at < 20_000; at++) lines.push(...splitter.push('y'))
  const took = performance.now() - begun
  lines.push(...splitter.push('\n\n'))

  expect(lines.map(line => line.length)).toEqual([920_000])
  expect(took).toBeLessThan(1000)
})
