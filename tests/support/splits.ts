/** Byte positions at which a body is cut: ascending, each inside the body. */
export type Split = readonly number[]

/** The largest body that is cut at every byte. */
const everyByteMax = 4096

/** Yields each way of cutting a body into two pieces. */
export function* everySplit(body: string | Uint8Array): Generator<Split> {
  const length = toBytes(body).length
  for (let position = 1; position < length; position++) yield [position]
}

/** Yields a cut at the end of each event, one byte before it and one byte after it.
 *
 * Events end with a blank line; a body without blank lines is read as lines (NDJSON). */
export function* eventBoundarySplits(body: string | Uint8Array): Generator<Split> {
  const bytes = toBytes(body)
  const positions = new Set<number>()
  for (const end of eventEnds(bytes)) for (const near of [end - 1, end, end + 1]) positions.add(near)
  for (const position of [...positions].sort((a, b) => a - b)) {
    if (position > 0 && position < bytes.length) yield [position]
  }
}

/** Yields `count` ways of cutting a body into 2 to 24 pieces; the same seed gives the same ways. */
export function* seededSplits(body: string | Uint8Array, count: number, seed: number): Generator<Split> {
  const length = toBytes(body).length
  const random = seededRandom(seed)
  if (length < 2) return
  for (let made = 0; made < count; made++) {
    const positions = new Set<number>()
    const wanted = 1 + Math.floor(random() * 23)
    for (let n = 0; n < wanted; n++) positions.add(1 + Math.floor(random() * (length - 1)))
    yield [...positions].sort((a, b) => a - b)
  }
}

/** Yields the splits that a stream parser is held to: every byte up to 4 kB, else event ends ± 1 and 200 seeded ones. */
export function* splitsOf(body: string | Uint8Array, seed = 1): Generator<Split> {
  if (toBytes(body).length <= everyByteMax) return yield* everySplit(body)
  yield* eventBoundarySplits(body)
  yield* seededSplits(body, 200, seed)
}

/** Cuts a body at the positions of a split; `every-byte` gives one piece a byte. */
export function piecesOf(body: string | Uint8Array, split: Split | 'every-byte'): Uint8Array[] {
  const bytes = toBytes(body)
  const positions = split === 'every-byte' ? Array.from(bytes.keys()) : split
  const edges = [0, ...positions.filter(position => position > 0 && position < bytes.length), bytes.length]
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index], end))
}

/** Creates a generator of numbers in [0, 1) that a seed repeats (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function eventEnds(bytes: Uint8Array): number[] {
  // latin1 keeps one character a byte, so that positions in the text are positions in the bytes.
  const text = Buffer.from(bytes).toString('latin1')
  const blankLines = [...text.matchAll(/\r\n\r\n|\n\n|\r\r/g)]
  const found = blankLines.length > 0 ? blankLines : [...text.matchAll(/\n/g)]
  return found.map(match => match.index + match[0].length)
}

function toBytes(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? new TextEncoder().encode(body) : body
}
