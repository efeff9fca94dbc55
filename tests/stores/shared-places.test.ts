import { expect, test } from 'bun:test'
import { createSharedFolder, openSharedMemory } from '#stores/shared.ts'
import { createSharedPlaces } from '#stores/shared-places.ts'
import { server, target } from '#tests/support/calls.ts'

function pair() {
  const { folder, remove } = createSharedFolder()
  const memories = [openSharedMemory(folder, 2), openSharedMemory(folder, 3)] as const
  remove()
  return { memories, first: createSharedPlaces(memories[0]), second: createSharedPlaces(memories[1]) }
}

test('two processes share the places of a target', () => {
  const { first, second } = pair()
  const two = target('a', { maxConcurrent: 2 })
  const taken = [first.take(two), second.take(two), second.take(two)]
  const full = [first.has(two), second.has(two)]
  second.free(two)

  expect(taken).toEqual([true, true, false])
  expect(full).toEqual([false, false])
  expect([first.has(two), second.has(two)]).toEqual([true, true])
})

test('a full target takes no place of its server', () => {
  const { first, second } = pair()
  const home = server('a', { maxConcurrent: 2 })
  const narrow = target('a', { id: 'a/x', server: home, maxConcurrent: 1 })
  const wide = target('a', { id: 'a/y', server: home })
  first.take(narrow)
  for (let at = 0; at < 5; at++) second.take(narrow)

  expect([second.take(wide), first.take(wide)]).toEqual([true, false])
})

test('the places of a process that has died are free again', () => {
  const { memories, first, second } = pair()
  const three = target('a', { maxConcurrent: 3 })
  for (let at = 0; at < 2; at++) first.take(three)
  second.take(three)
  memories[1].reclaim(2)

  expect([second.take(three), second.take(three), second.take(three)]).toEqual([true, true, false])
})

test('each process learns how many calls wait in the others; dead processes do not count', () => {
  const { memories, first, second } = pair()
  first.waiting(3)
  const seen = [second.waiting(2), first.waiting(3)]
  memories[1].reclaim(2)

  expect([...seen, second.waiting(2)]).toEqual([3, 2, 0])
})
