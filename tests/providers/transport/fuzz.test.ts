import { expect, test } from 'bun:test'
import { compareReadings } from '#tests/support/compare-readings.ts'

test('random answers at random splits are read as the slow and obvious parser reads them', () => {
  const ends = new Set<string>()
  for (let seed = 1; seed <= 20_000; seed++) {
    const { difference, end } = compareReadings(seed)
    if (difference !== null) expect(`seed ${seed}: ${difference}`).toBe('')
    ends.add(end)
  }

  expect([...ends].sort()).toEqual(['broken', 'more', 'whole'])
}, 60_000)
