import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { costOf, formatUsd, periodEnd, periodOf, toNano } from '#core/money.ts'
import type { Usage } from '#core/usage.ts'

const usage = (more: Partial<Usage> = {}): Usage => ({
  input: 0,
  cacheRead: 0,
  cacheWrite: 0,
  output: 0,
  reasoning: 0,
  estimated: false,
  ...more,
})
const price = { input: 1.25, output: 10, cache_read: 0.125, cache_write: null, request: 0.002 }

describe('what an answer costs', () => {
  test('is the sum of disjoint classes and of the request; reasoning is in the output', () => {
    const used = usage({ input: 1000, cacheRead: 2000, output: 100, reasoning: 90 })

    expect(costOf(price, used)).toBe(1_250_000 + 250_000 + 1_000_000 + 2_000_000)
  })

  test('is unknown where the price of something that was used is, and only there', () => {
    expect(costOf(null, usage())).toBeNull()
    expect(costOf(price, usage({ input: 5, cacheWrite: 1 }))).toBeNull()
    expect(costOf({ input: null, output: 1, request: 0 }, usage({ input: 1 }))).toBeNull()
    expect(costOf({ input: null, output: 1, request: 0 }, usage({ output: 1 }))).toBe(1000)
  })

  test('is exact: no part of a billionth is lost over many calls of one size', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(999_999_999), (tokens, millionths) => {
        const cost = costOf({ input: millionths / 1e6, output: 0, request: 0 }, usage({ input: tokens }))
        const exact = (BigInt(tokens) * BigInt(millionths) + 500n) / 1000n

        expect(BigInt(cost ?? -1)).toBe(exact)
      }),
    )
  })
})

test.each([
  [0, '0'],
  [1, '0.000000001'],
  [13_000, '0.000013'],
  [1_000_000_000, '1'],
  [-1_500_000_000, '-1.5'],
  [toNano(1234.5), '1234.5'],
  [10_000_000_000, '10'],
])('%d billionths are written %s', (nano, text) => {
  expect(formatUsd(nano)).toBe(text)
})

describe('the calendar', () => {
  test('has days and months in UTC, each of which ends where the next one begins', () => {
    const time = Date.UTC(2027, 11, 31, 23, 59, 59, 999)

    expect([periodOf(time, 'day'), periodOf(time, 'month')]).toEqual(['2027-12-31', '2027-12'])
    expect([periodEnd(time, 'day'), periodEnd(time, 'month')]).toEqual([Date.UTC(2028, 0, 1), Date.UTC(2028, 0, 1)])
    expect(periodEnd(Date.UTC(2028, 1, 29), 'day')).toBe(Date.UTC(2028, 2, 1))
  })

  test('leaves no gap and no overlap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.constantFrom('day' as const, 'month' as const), (time, per) => {
        const end = periodEnd(time, per)

        expect(end).toBeGreaterThan(time)
        expect(periodOf(end - 1, per)).toBe(periodOf(time, per))
        expect(periodOf(end, per)).not.toBe(periodOf(time, per))
      }),
    )
  })
})
