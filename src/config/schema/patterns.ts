// What is accepted as text, as the published schema says it: a pattern there has no flags, so that both cases are spelt.

/** What a number looks like as text. */
export const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/

export const DURATION = /^\s*\d{1,15}(\.\d{1,9})?\s*([mM]?[sS]|[mMhHdD])?\s*$/
export const SIZE = /^\s*\d{1,15}(\.\d{1,9})?\s*([bB]|[kmgtKMGT]([iI]?[bB])?)?\s*$/
/** After how long a hedge goes out. */
export const AFTER = /^\s*([pP]([1-9]\d?|0[1-9])|\d+(\.\d+)?|\d{1,15}(\.\d{1,9})?\s*([mM]?[sS]|[mMhHdD]))\s*$/
export const HTTP_URL = /^\s*[hH][tT][tT][pP][sS]?:/
export const PROXY_URL = /^\s*[hH][tT][tT][pP]:/
export const CIDR = /^(\d{1,3}(\.\d{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[^/]+)?)(\/\d{1,3})?$/
export const INSTANT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/

/** One of the words, in any case. */
export function anyCase(words: readonly string[]): RegExp {
  const spelt = words.map(word => word.replaceAll(/[a-z]/g, letter => `[${letter}${letter.toUpperCase()}]`))
  return new RegExp(`^(${spelt.join('|')})$`)
}

/** Text that begins with one of these. */
export function beginning(prefixes: readonly string[]): RegExp {
  return new RegExp(`^(${prefixes.join('|')})`)
}

/** Tells the published schema what text is accepted in place of the values of a schema. */
export function alsoText({ source }: RegExp) {
  return { 'x-text': source }
}

/** Tells it what text looks like that is checked otherwise. */
export function looksLike({ source }: RegExp) {
  return { pattern: source }
}
