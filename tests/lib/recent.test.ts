import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { createRecent } from '#lib/recent.ts'

test('knows nothing at first', () => {
  const recent = createRecent(10)

  expect([recent.count, recent.quantile(0.95)]).toEqual([0, 0])
})

test('tells the smallest number that a share of the last ones does not exceed', () => {
  const share = fc.double({ min: 0.01, max: 1, noNaN: true })
  const numbers = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(numbers, share, (values, wanted) => {
      const recent = createRecent(20)
      for (const value of values) recent.add(value)
      const last = values.slice(-20)
      const found = recent.quantile(wanted)
      const upTo = (limit: number) => last.filter(value => value <= limit).length
      const needed = Math.ceil(last.length * wanted)

      expect(recent.count).toBe(last.length)
      expect(last).toContain(found)
      expect(upTo(found)).toBeGreaterThanOrEqual(needed)
      expect(upTo(found - 1)).toBeLessThan(needed)
    }),
  )
})
