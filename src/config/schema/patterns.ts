// The patterns of texts that the published schema accepts. A pattern in a JSON Schema has no flags, so both cases of
// letters are spelt out.

/** A number written as text. */
export const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/

export const DURATION = /^\s*\d{1,15}(\.\d{1,9})?\s*([mM]?[sS]|[mMhHdD])?\s*$/
export const SIZE = /^\s*\d{1,15}(\.\d{1,9})?\s*([bB]|[kmgtKMGT]([iI]?[bB])?)?\s*$/
/** The delay of a hedge: a percentile (`p95`), or a time, in milliseconds without a unit. */
export const AFTER = /^\s*([pP]([1-9]\d?|0[1-9])|\d+(\.\d+)?|\d{1,15}(\.\d{1,9})?\s*([mM]?[sS]|[mMhHdD]))\s*$/
export const HTTP_URL = /^\s*[hH][tT][tT][pP][sS]?:/
export const PROXY_URL = /^\s*[hH][tT][tT][pP]:/
/** A name, an IPv4 address, or an IPv6 address: no brackets, and no port behind it. */
export const HOST = /^([\w.-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%[\w.-]+)?)$/
export const CIDR = /^(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[^/]+)?)(\/\d{1,3})?$/
export const INSTANT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/

/** Matches one of the words in any case. */
export function anyCase(words: readonly string[]): RegExp {
  const spelt = words.map(word => word.replaceAll(/[a-z]/g, letter => `[${letter}${letter.toUpperCase()}]`))
  return new RegExp(`^(${spelt.join('|')})$`)
}

/** Matches text that begins with one of the prefixes. */
export function beginning(prefixes: readonly string[]): RegExp {
  return new RegExp(`^(${prefixes.join('|')})`)
}

/** Adds to the published schema that text of this form is accepted besides the values of a schema. */
export function alsoText({ source }: RegExp) {
  return { 'x-text': source }
}

/** Adds to the published schema the form of a text that is checked by other means than a pattern. */
export function looksLike({ source }: RegExp) {
  return { pattern: source }
}
