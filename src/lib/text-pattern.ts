import { isAscii } from 'node:buffer'

const QUOTE = 34
const COLON = 58
const BACKSLASH = 92
const ASCII_END = 128
const FIRST_VISIBLE = 32

/** Finds the texts of the named members in a JSON text.
 *
 * @returns The parts around the texts, each up to and from a quote, or `null` when they cannot be determined with
 * certainty: a name that occurs more than once, a member that is not a text, an escape outside of the texts. */
export function partsAround(json: string, names: readonly string[]): readonly string[] | null {
  const parts: string[] = []
  let from = 0
  const places = names.map(name => placeOf(json, name))
  for (const place of places.toSorted((one, other) => (one?.[0] ?? 0) - (other?.[0] ?? 0))) {
    if (place === null) return null
    parts.push(json.slice(from, place[0]))
    from = place[1]
  }
  parts.push(json.slice(from))
  return parts.some(part => part.includes('\\')) ? null : parts
}

function placeOf(json: string, name: string): readonly [start: number, end: number] | null {
  const key = `"${name}"`
  const at = json.indexOf(key)
  // Also refused: white space before the colon, or a text that has the same characters as the name.
  if (at < 0 || json.includes(key, at + 1)) return null
  let start = at + key.length
  if (json.charCodeAt(start++) !== COLON) return null
  while (json.charCodeAt(start) === FIRST_VISIBLE) start++
  if (json.charCodeAt(start++) !== QUOTE) return null
  for (let end = start; end < json.length; end++) {
    const code = json.charCodeAt(end)
    if (code === QUOTE) return [start, end]
    if (code === BACKSLASH) end++
  }
  return null
}

/** Bytes, and the same as Latin-1, a character for each: texts are compared and searched in half the time. */
export interface Chars {
  readonly bytes: Buffer
  /** The position in `bytes` of the first character. */
  readonly start: number
  readonly chars: string
}

/** Compares bytes with constant parts that have JSON texts between them. A class, because it is called for every event
 * of a stream. */
export class TextPattern {
  /** The requested text of the last match. */
  text = ''
  /** Whether all that matched last is ASCII. */
  ascii = false
  /** The positions of all texts of the last match: start and end in turn. */
  readonly places: number[] = []
  /** As Latin-1. */
  private readonly parts: readonly string[]
  private readonly asked: number
  private readonly isAscii: boolean

  /** @param asked The index of the requested text; the others must be plain ASCII without escapes. */
  constructor(parts: readonly string[], asked: number) {
    const bytes = parts.map(part => Buffer.from(part))
    this.parts = bytes.map(part => part.toString('latin1'))
    this.asked = asked
    this.isAscii = bytes.every(part => isAscii(part))
  }

  /** Matches from the character at `at` on.
   *
   * @returns The position behind the match; -1 when it does not match, when the text is empty, or when it is not
   * certainly a JSON text. */
  match(within: Chars, at: number): number {
    const { parts, places, asked } = this
    const { chars } = within
    const last = parts.length - 1
    let from = at
    for (let index = 0; index < parts.length; index++) {
      const part = parts[index]
      if (part === undefined || !chars.startsWith(part, from)) return -1
      from += part.length
      if (index === last) return from
      const kind = endOfText(chars, from)
      if (kind < 0) return -1
      if (index === asked ? !this.take(within, from, textEnd, kind) : kind !== PLAIN) return -1
      places[2 * index] = from
      places[2 * index + 1] = textEnd
      from = textEnd
    }
    return -1
  }

  private take({ bytes, start }: Chars, from: number, to: number, kind: number): boolean {
    if (from === to) return false
    this.ascii = this.isAscii && !(kind & WIDE)
    // A copy: a part of the characters would keep all of them in memory.
    const raw = bytes.toString(kind & WIDE ? 'utf8' : 'latin1', start + from, start + to)
    // Bytes that are not valid UTF-8 are read as this character.
    if (kind & WIDE && raw.includes('\ufffd')) return false
    if (!(kind & ESCAPED)) {
      this.text = raw
      return true
    }
    try {
      this.text = String(JSON.parse(`"${raw}"`))
      return true
    } catch {
      return false
    }
  }
}

const PLAIN = 0
const ESCAPED = 1
const WIDE = 2
/** The end of the text that `endOfText` found last. */
let textEnd = 0

/** Finds the quote that ends a text.
 *
 * @returns Flags for the kinds of characters in it, or -1 when it does not end or has a control character in it. */
function endOfText(chars: string, from: number): number {
  let kind = PLAIN
  for (let at = from; at < chars.length; at++) {
    const code = chars.charCodeAt(at)
    if (code === QUOTE) {
      textEnd = at
      return kind
    }
    if (code < FIRST_VISIBLE) return -1
    if (code === BACKSLASH) {
      kind |= ESCAPED
      at++
    } else if (code >= ASCII_END) kind |= WIDE
  }
  return -1
}
