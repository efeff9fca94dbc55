import { expect, test } from 'bun:test'
import { createSeen } from '#lib/seen.ts'

test('a name is new once, until so many others came after it', () => {
  const isNew = createSeen(2)

  const first = ['a', 'a', 'b', 'a', 'c'].map(isNew)

  expect(first).toEqual([true, false, true, false, true])
  expect([isNew('c'), isNew('b'), isNew('a')]).toEqual([false, false, true])
})
