/** How long a vector is unless the caller says. */
const DIMENSIONS = 256
const DIMENSIONS_MAX = 4096
/** Places that one word touches; texts that share words come to lie near each other. */
const PLACES_PER_WORD = 4

/** A unit vector made from the hashed words of a text, or from its tokens. */
export function toVector(input: unknown, dimensions: unknown): readonly number[] {
  const length =
    typeof dimensions === 'number' && dimensions >= 1 ? Math.min(Math.floor(dimensions), DIMENSIONS_MAX) : DIMENSIONS
  const vector = new Array<number>(length).fill(0)
  for (const word of wordsOf(input)) {
    for (let place = 0; place < PLACES_PER_WORD; place++) {
      const hash = fnv1a(`${place}${word}`)
      const at = (hash >>> 1) % length
      vector[at] = (vector[at] ?? 0) + (hash & 1 ? 1 : -1)
    }
  }
  const norm = Math.hypot(...vector)
  if (norm === 0) return vector.with(0, 1)
  return vector.map(value => Math.fround(value / norm))
}

/** The words of a text in lower case; of a token list each token. */
export function wordsOf(input: unknown): readonly string[] {
  if (Array.isArray(input)) return input.map(String)
  return (
    String(input ?? '')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  )
}

/** FNV-1a, 32 bits. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}
