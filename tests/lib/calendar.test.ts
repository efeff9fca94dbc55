import { expect, test } from 'bun:test'
import { isDay } from '#lib/calendar.ts'

test.each([
  ['2027-01-31', true],
  ['2028-02-29', true],
  ['2027-02-29', false],
  ['2027-02-30', false],
  ['2027-04-31', false],
  ['2027-13-01', false],
  ['2027-00-00', false],
])('of %s the calendar says: %p', (day, is) => {
  expect(isDay(day)).toBe(is)
})
