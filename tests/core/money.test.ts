import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { formatUsd, periodEnd, periodOf, toNano } from '#core/money.ts'

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
