import { expect, test } from 'bun:test'
import { seeded } from '#tests/support/random.ts'
import { floorsOf, slopeOf } from '../../scripts/soak/slope.ts'

/** A sample a second for so many minutes. */
function samplesOf(minutes: number, valueAt: (minute: number) => number) {
  return Array.from({ length: minutes * 60 }, (_, second) => ({ minutes: second / 60, value: valueAt(second / 60) }))
}

test('the slope of memory is what leaks, whatever is collected late', () => {
  const random = seeded(1)
  const leaking = (perMinute: number) =>
    slopeOf(
      floorsOf(
        samplesOf(7, minute => 100 + perMinute * minute + 30 * random()),
        10,
      ),
    )

  expect(leaking(0)).toBeWithin(-1, 1)
  expect(leaking(2)).toBeWithin(1.2, 2.8)
})

test('the slope is not moved by a part of the time in which everything was different', () => {
  const samples = samplesOf(10, minute => (minute > 8 ? 300 : 100 + 0.5 * minute))

  expect(slopeOf(floorsOf(samples, 10))).toBeCloseTo(0.5, 1)
})

test('the slope of fewer than two samples is unknown', () => {
  expect(slopeOf([])).toBeNull()
  expect(slopeOf([{ minutes: 1, value: 5 }])).toBeNull()
  expect(slopeOf(samplesOf(1, minute => 3 * minute).slice(0, 2))).toBeCloseTo(3)
})
