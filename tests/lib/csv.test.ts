import { expect, test } from 'bun:test'
import { writeCsv } from '#lib/csv.ts'

test('quotes what has to be quoted, and lets no text be a formula', () => {
  const rows = [{ a: 'plain', b: 1.5 }, { a: 'with "quotes", and\nlines', b: -2 }, { a: '=1+1', b: null }, { a: null }]

  expect(writeCsv(['a', 'b'], rows)).toBe('a,b\r\nplain,1.5\r\n"with ""quotes"", and\nlines",-2\r\n\'=1+1,\r\n,\r\n')
})
