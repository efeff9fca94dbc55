import { expect, test } from 'bun:test'
import { writeCsv } from '#lib/csv.ts'

test('quotes what has to be quoted, and lets no text be a formula', () => {
  const rows = [{ a: 'plain', b: 1.5 }, { a: 'with "quotes", and\nlines', b: -2 }, { a: '=1+1', b: null }, { a: null }]

  expect(writeCsv(['a', 'b'], rows)).toBe('a,b\r\nplain,1.5\r\n"with ""quotes"", and\nlines",-2\r\n\'=1+1,\r\n,\r\n')
})

// Excel parts fields where the language of its user does, at semicolons in most of Europe, and knows no quotes there.
test.each([
  ['@SUM(1)', "'@SUM(1)"],
  ['＝1', "'＝1"],
  ["a;=cmd|' /c calc'!A0", "a;'=cmd|' /c calc'!A0"],
  ['a\n+1', `"a\n'+1"`],
  ['a\t-1', "a\t'-1"],
  ['\t=1', "'\t'=1"],
  ['me+you@example.com;b-c=d', 'me+you@example.com;b-c=d'],
])('lets no part of %j be a formula, wherever a spreadsheet parts it', (text, written) => {
  expect(writeCsv(['a'], [{ a: text }])).toBe(`a\r\n${written}\r\n`)
})
