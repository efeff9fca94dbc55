import { describe, setDefaultTimeout, test } from 'bun:test'
import { CELLS } from './cells.ts'
import { play, TOPOLOGIES } from './runner.ts'
import { SERVERS } from './table.ts'

// The cells of a moment share one loop, and an answer that comes byte by byte takes a turn of it for each byte.
setDefaultTimeout(60_000)

// A rejection that nobody hears fails the run by itself: the runner sees to that.
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
