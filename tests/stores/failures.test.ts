import { expect, test } from 'bun:test'
import { createMemoryFailures } from '#stores/memory-failures.ts'
import { failuresContract } from '#tests/contract/failures.ts'
import { fakeClock } from '#tests/support/clock.ts'

failuresContract('failures in memory', (perMinute, clock) => createMemoryFailures({ perMinute, clock }))

test('an address is forgotten when too many other addresses failed after it', () => {
  const failures = createMemoryFailures({ perMinute: () => 3, clock: fakeClock() })
  for (let n = 0; n < 3; n++) failures.note('203.0.113.7')
  for (let n = 0; n < 10_000; n++) failures.note(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)

  expect(failures.waitMs('203.0.113.7')).toBe(0)
})
