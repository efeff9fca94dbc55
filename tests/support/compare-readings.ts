import { parserReading } from '#tests/support/parser-reading.ts'
import { seeded } from '#tests/support/random.ts'
import { drawer, RANDOM_NAMES, randomResponse, randomSplit } from '#tests/support/random-response.ts'
import { type Reading, referenceReading } from '#tests/support/reference-parser.ts'

/** Reads one random answer in both ways.
 *
 * @returns The difference, if there is one, and how the answer ends. */
export function compareReadings(seed: number): { readonly difference: string | null; readonly end: Reading['end'] } {
  const draw = drawer(seeded(seed))
  const bytes = randomResponse(draw)
  const options = { method: draw.chance(0.05) ? 'HEAD' : 'POST', closed: draw.chance(0.5) }
  const split = draw.chance(0.02) && bytes.length < 1000 ? 'every-byte' : randomSplit(bytes.length, draw)
  const expected = picked(referenceReading(bytes, options))
  try {
    const given = parserReading(bytes, split, options, RANDOM_NAMES)
    const same = Bun.deepEquals(given, expected)
    return { difference: same ? null : describe(bytes, split, given, expected), end: expected.end }
  } catch (thrown) {
    return { difference: describe(bytes, split, thrown, expected), end: expected.end }
  }
}

/** A reading with those headers alone that are asked for. */
function picked(reading: Reading): Reading {
  const headers: Record<string, string> = {}
  for (const name of RANDOM_NAMES) {
    const value = Object.hasOwn(reading.headers, name) ? reading.headers[name] : undefined
    if (value !== undefined) headers[name] = value
  }
  return { ...reading, headers }
}

function describe(bytes: Buffer, split: unknown, given: unknown, expected: Reading): string {
  const shown = bytes.length > 2000 ? `${bytes.toString('latin1', 0, 2000)}…` : bytes.toString('latin1')
  return `${JSON.stringify(shown)} at ${JSON.stringify(split)}\nread as   ${show(given)}\ninstead of ${show(expected)}`
}

function show(value: unknown): string {
  return value instanceof Error ? String(value.stack) : JSON.stringify(value)
}
