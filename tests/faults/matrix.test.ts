import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { CELLS } from './cells.ts'
import { play, TOPOLOGIES } from './runner.ts'
import { SERVERS } from './table.ts'

setDefaultTimeout(20_000)

const rejections: unknown[] = []
const note = (reason: unknown) => void rejections.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => {
  process.off('unhandledRejection', note)
  expect(rejections).toEqual([])
})

for (const fault of SERVERS) {
  describe(`${fault.id}: ${fault.name}`, () => {
    for (const cell of CELLS) {
      if (fault.calls !== 'both' && (fault.calls === 'stream') !== cell.stream) continue
      for (const topology of TOPOLOGIES) {
        test.concurrent(`${cell.name}, ${topology}`, () => play(fault, cell, topology))
      }
    }
  })
}
