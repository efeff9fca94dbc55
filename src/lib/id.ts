const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const POOL_BYTES = 10 * 256

/** Creates a generator of UUIDv7 (RFC 9562 §5.7): time-ordered, 74 random bits.
 *
 * @param fill Fills an array with random bytes; drawn for many ids at a time because each draw is a system call. */
export function createIds(fill: (bytes: Uint8Array) => void = bytes => crypto.getRandomValues(bytes)) {
  const pool = new Uint8Array(POOL_BYTES)
  let used = POOL_BYTES
  let lastTime = -1
  let prefix = ''

  return function uuid(time: number): string {
    if (used === POOL_BYTES) {
      fill(pool)
      used = 0
    }
    if (time !== lastTime) {
      lastTime = time
      const hex = time.toString(16).padStart(12, '0')
      prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-7`
    }
    const at = used
    used += 10
    const byte = (offset: number) => pool[at + offset] ?? 0
    const version = (byte(0) & 0x0f).toString(16)
    const variant = HEX[(byte(2) & 0x3f) | 0x80]
    return `${prefix}${version}${HEX[byte(1)]}-${variant}${HEX[byte(3)]}-${HEX[byte(4)]}${HEX[byte(5)]}${HEX[byte(6)]}${HEX[byte(7)]}${HEX[byte(8)]}${HEX[byte(9)]}`
  }
}
