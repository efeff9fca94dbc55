import { expect, test } from 'bun:test'
import { coverage, LEFT_OUT } from './table.ts'

test('the matrix has every fault for plain answers and for streams, but for what cannot be', () => {
  const all = Array.from({ length: 27 }, (_, at) => ['plain', 'stream'].map(kind => `F${at + 1} ${kind}`)).flat()

  const missing = all.filter(each => !coverage().has(each))

  expect(missing).toEqual(Object.keys(LEFT_OUT))
})
