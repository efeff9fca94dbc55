/** The longest text of one field, in characters. */
const FIELD_MAX = 2048
/** Texts that need no escaping at all: printable ASCII without quote and backslash. */
const PLAIN = /^[ !#-[\]-~]*$/
/** What `JSON.stringify` leaves as it is although terminals and line readers act on it: DEL, C1 controls, line and
 * paragraph separators, and marks that turn the direction of writing. */
const CONTROLS = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** Writes a text as a JSON string that is safe in one log line: bounded, and no character of it does anything. */
export function quote(text: string): string {
  const short = text.length > FIELD_MAX ? `${text.slice(0, FIELD_MAX - 1)}…` : text
  if (PLAIN.test(short)) return `"${short}"`
  return JSON.stringify(short).replace(CONTROLS, character => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** The same for people: without the quotes around it. */
export function printable(text: string): string {
  return quote(text).slice(1, -1).replaceAll('\\"', '"')
}

/** Secrets shorter than this would blot out ordinary words. */
const SECRET_MIN = 6

/** Creates the function that takes secrets out of texts. */
export function createRedactor(secrets: readonly string[]): (text: string) => string {
  const known = [...new Set(secrets.filter(secret => secret.length >= SECRET_MIN))]
  if (known.length === 0) return text => text
  // The longest first, because one secret may begin with another; escaped forms, because paths and JSON have them.
  const forms = new Set(
    known.flatMap(secret => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]),
  )
  const sorted = [...forms].sort((a, b) => b.length - a.length)
  const pattern = new RegExp(sorted.map(form => form.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|'), 'g')
  return text => text.replace(pattern, '[redacted]')
}

const NAMES_MAX = 1000

/** Creates the writer of names: `quote` without secrets, remembered, because names come again with every request. */
export function createNameWriter(redact: (text: string) => string): (name: string | null) => string {
  const known = new Map<string, string>()
  return name => {
    if (name === null) return 'null'
    const found = known.get(name)
    if (found !== undefined) return found
    if (known.size >= NAMES_MAX) known.clear()
    const written = quote(redact(name))
    known.set(name, written)
    return written
  }
}
