/** What looks like a secret wherever it stands: keys of providers and of this gateway, bearer tokens, JSON Web Tokens,
 * passwords in addresses. */
const SECRETS: readonly (readonly [pattern: RegExp, replacement: (all: string, part?: string) => string])[] = [
  [/\b(?:sk|ck|pk|rk|gw|whsec|xox[bp]|gh[pousr]|AIza)[-_][\w-]{12,}|\bAIza[\w-]{20,}/g, () => '[redacted]'],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, (_, scheme) => `${scheme} [redacted]`],
  // What is no token in the end is taken up too, so that nothing is looked through again from each of its parts.
  [/\beyJ[\w-]{8,}(\.[\w-]{8,}\.[\w-]*)?/g, (all, rest) => (rest === undefined ? all : '[redacted]')],
  [/((?<![a-z0-9+.-])[a-z0-9+.-]+:\/\/[^\s:/@"\\]*):[^\s@/"\\]+@/gi, (_, before) => `${before}:[redacted]@`],
]

/** Takes out of a text what looks like a secret. */
export function redactPatterns(text: string): string {
  let clean = text
  for (const [pattern, replacement] of SECRETS) clean = clean.replace(pattern, replacement)
  return clean
}

/** Shows of an address only where it is: many services take whoever knows the path or the query for who may send. */
export function withoutPath(address: string): string {
  const { origin, pathname, search } = new URL(address)
  return pathname === '/' && search === '' ? address : `${origin}/[redacted]`
}
