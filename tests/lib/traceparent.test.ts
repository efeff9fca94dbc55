import { describe, expect, test } from 'bun:test'
import { parseTraceparent } from '#lib/traceparent.ts'

const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const parent = '00f067aa0ba902b7'

describe('a traceparent', () => {
  test('of version 00 is taken as it is', () => {
    expect(parseTraceparent(`00-${trace}-${parent}-01`)).toBe(`00-${trace}-${parent}-01`)
  })

  test('of a later version is taken as far as version 00 goes', () => {
    expect(parseTraceparent(`01-${trace}-${parent}-01-what-comes-next`)).toBe(`00-${trace}-${parent}-01`)
    expect(parseTraceparent(`cc-${trace}-${parent}-00`)).toBe(`00-${trace}-${parent}-00`)
  })

  test.each([
    '',
    'nonsense',
    `ff-${trace}-${parent}-01`,
    `00-${'0'.repeat(32)}-${parent}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${parent}-01`,
    `00-${trace}-${parent}-01-more`,
    `00-${trace}-${parent}-1`,
    `00-${trace}-${parent}`,
    `00-${trace}-${parent}-01\r\nx: y`,
    ` 00-${trace}-${parent}-01`,
    `01-${trace}-${parent}-01${'-x'.repeat(1000)}`,
    `00-${trace.slice(1)}-${parent}-01`,
  ])('%p is not valid', text => {
    expect(parseTraceparent(text)).toBeNull()
  })
})
