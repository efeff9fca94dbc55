import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { formatDuration, formatSize, parseDuration, parseSize } from '#lib/duration.ts'

test.each([
  ['30', 30_000],
  [30, 30_000],
  ['0', 0],
  ['100ms', 100],
  ['30s', 30_000],
  ['1.5s', 1500],
  [' 5 m ', 300_000],
  ['1H', 3_600_000],
  ['24h', 86_400_000],
  ['30d', 2_592_000_000],
] as const)('reads the duration %j', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each(['', 's', 'soon', '-1s', '1 week', '1e3', '1m30s', 'Infinity', '0x10', '1.s', -1, Number.NaN, 1e300])(
  'finds no duration in %j',
  text => {
    expect(parseDuration(text)).toBeNull()
  },
)

test.each([
  ['10MB', 10_000_000],
  ['512 MB', 512_000_000],
  ['256kB', 256_000],
  ['64KiB', 65_536],
  ['1.5MiB', 1_572_864],
  ['3k', 3000],
  ['3M', 3_000_000],
  ['2g', 2_000_000_000],
  ['2GB', 2_000_000_000],
  ['1.5GiB', 1_610_612_736],
  ['1T', 1_000_000_000_000],
  ['1TB', 1_000_000_000_000],
  ['1TiB', 1_099_511_627_776],
  [1024, 1024],
  ['7b', 7],
] as const)('reads the size %j', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each(['', 'MB', 'big', '-1MB', '10 MBit', '10PB', '10000TB'])('finds no size in %j', text => {
  expect(parseSize(text)).toBeNull()
})

test('names no unit after something that every object has', () => {
  expect(parseDuration('1 toString')).toBeNull()
})

test('writes durations in the largest exact unit', () => {
  expect([0, 1500, 90_000, 3_600_000, 604_800_000].map(formatDuration)).toEqual(['0s', '1500ms', '90s', '1h', '7d'])
})

test('writes sizes in the largest exact unit', () => {
  expect([0, 1500, 10_000_000, 65_536].map(formatSize)).toEqual(['0B', '1500B', '10MB', '64KiB'])
})

test('reads back every duration and size that it writes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e14 }), amount => {
      expect(parseDuration(formatDuration(amount))).toBe(amount)
      expect(parseSize(formatSize(amount))).toBe(amount)
    }),
  )
})
