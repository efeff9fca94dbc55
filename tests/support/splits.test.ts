import { expect, test } from 'bun:test'
import { eventBoundarySplits, everySplit, piecesOf, seededSplits, splitsOf } from '#tests/support/splits.ts'

const joined = (pieces: readonly Uint8Array[]) => Buffer.concat(pieces).toString()

test('cuts a body at every byte, also inside a character', () => {
  expect([...everySplit('aéb')]).toEqual([[1], [2], [3]])
  expect([...everySplit('a')]).toEqual([])
})

test('cuts around the end of each event', () => {
  expect([...eventBoundarySplits('a\n\nb\r\n\r\nc')].flat()).toEqual([2, 3, 4, 7, 8])
  expect([...eventBoundarySplits('{}\n{}\n')].flat()).toEqual([2, 3, 4, 5])
})

test('repeats its seeded splits, ascending and inside the body', () => {
  const body = 'x'.repeat(5000)

  const splits = [...seededSplits(body, 200, 7)]

  expect(splits).toEqual([...seededSplits(body, 200, 7)])
  expect(splits).not.toEqual([...seededSplits(body, 200, 8)])
  expect(splits).toHaveLength(200)
  for (const split of splits) {
    expect([...split].sort((a, b) => a - b)).toEqual([...split])
    expect(split.every(position => position > 0 && position < 5000)).toBe(true)
  }
})

test('cuts short bodies at every byte and long ones at event ends and 200 seeded places', () => {
  expect([...splitsOf('x'.repeat(4096))]).toHaveLength(4095)
  expect([...splitsOf(`${'x'.repeat(5000)}\n\nend`)]).toHaveLength(203)
})

test('loses no byte', () => {
  const body = 'data: {"text":"日本"}\n\n'

  expect(joined(piecesOf(body, 'every-byte'))).toBe(body)
  expect(piecesOf(body, 'every-byte')).toHaveLength(Buffer.byteLength(body))
  expect(piecesOf(body, [])).toHaveLength(1)
  for (const split of seededSplits(body, 20, 1)) {
    const pieces = piecesOf(body, split)
    expect(joined(pieces)).toBe(body)
    expect(pieces).toHaveLength(split.length + 1)
  }
})
