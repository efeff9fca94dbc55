import { fullGC, heapStats } from 'bun:jsc'
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Gathered } from '#providers/transport/gather.ts'

const buffers = () => {
  fullGC()
  return heapStats().objectTypeCounts.Uint8Array ?? 0
}

test('a body that comes byte by byte is not kept byte by byte', () => {
  const before = buffers()
  const gathered = new Gathered()
  for (let at = 0; at < 200_000; at++) gathered.add(Buffer.from([at & 0xff]))

  expect(buffers() - before).toBeLessThan(1000)
  const whole = gathered.whole()
  expect([whole.length, gathered.total]).toEqual([200_000, 200_000])
  expect(whole.every((byte, at) => byte === (at & 0xff))).toBe(true)
})

test('pieces of any lengths stay in order', () => {
  const length = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1000, max: 1050 }))
  fc.assert(
    fc.property(fc.array(length, { maxLength: 200 }), lengths => {
      const gathered = new Gathered()
      const pieces = lengths.map((bytes, at) => Buffer.alloc(bytes, at & 0xff))
      for (const piece of pieces) gathered.add(piece)

      expect(gathered.whole().equals(Buffer.concat(pieces))).toBe(true)
    }),
  )
})
