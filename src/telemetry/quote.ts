/** The longest text of one field, in characters; longer ones are cut and end in an ellipsis. */
const FIELD_MAX = 2048
/** Texts that need no escaping at all: printable ASCII without quote and backslash. */
const PLAIN = /^[ !#-[\]-~]*$/
/** Characters that `JSON.stringify` does not escape although terminals and line readers act on them: DEL, C1 controls,
 * line and paragraph separators, and marks that change the direction of text. */
const CONTROLS = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g

/** Writes a text as a JSON string that is safe in a log line: at most 2,048 characters, with every control character
 * escaped. */
export function quote(text: string): string {
  const short = text.length > FIELD_MAX ? `${text.slice(0, FIELD_MAX - 1)}…` : text
  if (PLAIN.test(short)) return `"${short}"`
  return JSON.stringify(short).replace(CONTROLS, character => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** As `quote`, for lines that people read: without the quotes around it. */
export function printable(text: string): string {
  return quote(text).slice(1, -1).replaceAll('\\"', '"')
}

/** Secrets with fewer characters are not redacted, because ordinary words would be redacted with them. */
const SECRET_MIN = 6
/** Keys and signing secrets that were made at run time: of them no more than a hash is kept, so that only their form is
 * known. Whoever wants to revoke a leaked key may write it where its id belongs. */
const MADE = String.raw`\bc[ks]_[\w-]{43}`

/** Creates the function that replaces secrets in a text with `[redacted]`: these, and what the gateway itself has made. */
export function createRedactor(secrets: readonly string[]): (text: string) => string {
  const known = [...new Set(secrets.filter(secret => secret.length >= SECRET_MIN))]
  // Longest first, because one secret may be the beginning of another. Escaped forms too, for paths and JSON.
  const forms = new Set(
    known.flatMap(secret => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]),
  )
  const sorted = [...forms].sort((a, b) => b.length - a.length)
  const quoted = sorted.map(form => form.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'))
  const pattern = new RegExp([...quoted, MADE].join('|'), 'g')
  return text => text.replace(pattern, '[redacted]')
}

const NAMES_MAX = 1000

/** Creates the writer of names of models, servers and callers: redacted and quoted. Results are cached, because the same
 * names come with every request. */
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
