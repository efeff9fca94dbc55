const RANDOM_BYTES = 10
const POOL_BYTES = RANDOM_BYTES * 256
const VERSION_7 = 0x70
const VARIANT = 0x80
const DASH = 45
const DASHES = [8, 13, 18, 23]
const DIGITS = Uint8Array.from('0123456789abcdef', digit => digit.charCodeAt(0))
/** Where each of the 16 bytes of an id is written, as two digits. */
const PLACES = Uint8Array.from([0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34])
const TIME_BYTES = 6

/** Creates a generator of UUIDv7 (RFC 9562 §5.7): time-ordered, 74 random bits.
 *
 * @param fill Fills an array with random bytes; drawn for many ids at a time because each draw is a system call. */
export function createIds(fill: (bytes: Uint8Array) => void = bytes => crypto.getRandomValues(bytes)) {
  const pool = new Uint8Array(POOL_BYTES)
  let used = POOL_BYTES
  let lastTime = -1
  // Written as bytes, so that an id is one string instead of a tree of pieces.
  const text = new Uint8Array(36)
  for (const at of DASHES) text[at] = DASH
  const decoder = new TextDecoder('latin1')

  function write(index: number, byte: number): void {
    const at = PLACES[index] ?? 0
    text[at] = DIGITS[byte >> 4] ?? 0
    text[at + 1] = DIGITS[byte & 0x0f] ?? 0
  }

  /** @param time Epoch milliseconds. */
  return function uuid(time: number): string {
    if (used === POOL_BYTES) {
      fill(pool)
      used = 0
    }
    if (time !== lastTime) {
      lastTime = time
      for (let index = 0, rest = Math.floor(time); index < TIME_BYTES; index++) {
        write(TIME_BYTES - 1 - index, rest % 256)
        rest = Math.floor(rest / 256)
      }
    }
    for (let index = 0; index < RANDOM_BYTES; index++) {
      const byte = pool[used + index] ?? 0
      write(TIME_BYTES + index, index === 0 ? (byte & 0x0f) | VERSION_7 : index === 2 ? (byte & 0x3f) | VARIANT : byte)
    }
    used += RANDOM_BYTES
    return decoder.decode(text)
  }
}

/** Stands before all such ids of a time, and behind those of the times before it.
 *
 * @param time Whole epoch milliseconds. */
export function firstIdAt(time: number): string {
  const digits = time.toString(16).padStart(2 * TIME_BYTES, '0')
  return `${digits.slice(0, DASHES[0])}-${digits.slice(DASHES[0])}`
}
