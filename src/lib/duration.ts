const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

// Decimal and binary prefixes mean what the standards say: 1 kB is 1000 bytes, 1 KiB is 1024.
const sizeUnits = {
  b: 1,
  k: 1e3,
  kb: 1e3,
  m: 1e6,
  mb: 1e6,
  g: 1e9,
  gb: 1e9,
  t: 1e12,
  tb: 1e12,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
} as const

const quantity = /^(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]{0,3})$/i

/** Reads a duration such as `30s`, `100ms`, `5m`, `1h` or `30d`; a bare number counts seconds.
 *
 * @returns Whole milliseconds, or null when it is no duration. */
export function parseDuration(value: string | number): number | null {
  return parseQuantity(value, unit => (unit === '' ? durationUnits.s : lookup(durationUnits, unit)))
}

/** Reads a size such as `10MB`, `512 kB` or `64KiB`; a bare number counts bytes.
 *
 * @returns Whole bytes, or null when it is no size. */
export function parseSize(value: string | number): number | null {
  return parseQuantity(value, unit => (unit === '' ? 1 : lookup(sizeUnits, unit)))
}

/** Writes milliseconds in the largest unit that states them exactly, so that reading gives them back. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  return inLargestUnit(ms, [
    ['d', durationUnits.d],
    ['h', durationUnits.h],
    ['m', durationUnits.m],
    ['s', durationUnits.s],
    ['ms', durationUnits.ms],
  ])
}

/** Writes bytes in the largest unit that states them exactly, so that reading gives them back. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return '0B'
  return inLargestUnit(bytes, [
    ['TB', sizeUnits.tb],
    ['TiB', sizeUnits.tib],
    ['GiB', sizeUnits.gib],
    ['GB', sizeUnits.gb],
    ['MiB', sizeUnits.mib],
    ['MB', sizeUnits.mb],
    ['KiB', sizeUnits.kib],
    ['kB', sizeUnits.kb],
    ['B', sizeUnits.b],
  ])
}

function parseQuantity(value: string | number, unitOf: (unit: string) => number | null): number | null {
  const match = quantity.exec(String(value).trim())
  if (!match) return null
  const unit = unitOf((match[2] ?? '').toLowerCase())
  if (unit === null) return null
  const total = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(total) ? total : null
}

function lookup(units: Readonly<Record<string, number>>, unit: string): number | null {
  return Object.hasOwn(units, unit) ? (units[unit] ?? null) : null
}

function inLargestUnit(amount: number, units: readonly (readonly [string, number])[]): string {
  for (const [name, factor] of units) if (amount % factor === 0) return `${amount / factor}${name}`
  return String(amount)
}
