/** The bytes that an answer's frame is made of. */
export const TAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SPACE = 0x20
export const ZERO = 0x30
export const NINE = 0x39
export const COLON = 0x3a
export const SEMICOLON = 0x3b

/** Whether a byte may stand in a header's name. */
export const NAME_BYTES = table(code => /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(String.fromCharCode(code)))
/** Whether a byte may stand in a header's value, in a reason or in a chunk's extension. */
export const TEXT_BYTES = table(code => code === TAB || (code >= SPACE && code !== 0x7f))

function table(has: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (has(code) ? 1 : 0))
}

/** A header's value without the blanks around it. A pattern would go through each run of blanks again from each of them,
 * which takes seconds for a long one. */
export function withoutBlanks(value: string): string {
  let from = 0
  let to = value.length
  while (from < to && isBlank(value.charCodeAt(from))) from++
  while (to > from && isBlank(value.charCodeAt(to - 1))) to--
  return value.slice(from, to)
}

export function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB
}

/** The value of a hexadecimal digit; -1 for another byte. */
export function hexValue(byte: number): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
