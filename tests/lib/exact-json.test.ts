import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseExactly } from '#lib/exact-json.ts'

test.each([
  '{"id":1234567890123456789}',
  '[{"id":[-98765432109876543210]},"1234567890123456789"]',
  '{"":9007199254740993,"__proto__":1234567890123456789}',
  '{"id":1234567890123456,"more":1.5}',
])('what is written again is the same: %s', text => {
  expect(JSON.stringify(parseExactly(text))).toBe(text)
})

test.each(['1234567890123456789', '"1234567890123456789"', 'null'])('%s alone is what it always is', text => {
  expect(parseExactly(text)).toBe(JSON.parse(text))
})

test.each(['', '{"id":1234567890123456789', '[1234567890123456789,]'])('%s is no JSON', text => {
  expect(parseExactly(text)).toBeUndefined()
})

test('integers of any length are kept, and everything else is as it always is', () => {
  const long = fc.stringMatching(/^-?[1-9][0-9]{15,30}$/)
  fc.assert(
    fc.property(fc.jsonValue(), long, (value, digits) => {
      const text = `{"value":${JSON.stringify(value)},"id":${digits}}`
      expect(JSON.stringify(parseExactly(text))).toBe(text)
    }),
  )
})
