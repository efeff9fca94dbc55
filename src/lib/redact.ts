/** Patterns of secrets: keys of providers and of this gateway, bearer tokens, JSON Web Tokens, passwords in addresses.
 */
const SECRETS: readonly (readonly [pattern: RegExp, replacement: (all: string, part?: string) => string])[] = [
  [/\b(?:sk|ck|pk|rk|gw|whsec|xox[bp]|gh[pousr]|AIza)[-_][\w-]{12,}|\bAIza[\w-]{20,}/g, () => '[redacted]'],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, (_, scheme) => `${scheme} [redacted]`],
  // Also matches what turns out not to be a token, so that the same characters are not searched again from each
  // position.
  [/\beyJ[\w-]{8,}(\.[\w-]{8,}\.[\w-]*)?/g, (all, rest) => (rest === undefined ? all : '[redacted]')],
  [/((?<![a-z0-9+.-])[a-z0-9+.-]+:\/\/[^\s:/@"\\]*):[^\s@/"\\]+@/gi, (_, before) => `${before}:[redacted]@`],
]

/** Replaces everything in a text that looks like a secret. */
export function redactPatterns(text: string): string {
  let clean = text
  for (const [pattern, replacement] of SECRETS) clean = clean.replace(pattern, replacement)
  return clean
}

/** Shows only the origin of an address: with many services, whoever knows the path or the query is allowed to send. */
export function withoutPath(address: string): string {
  const { origin, pathname, search } = new URL(address)
  return pathname === '/' && search === '' ? address : `${origin}/[redacted]`
}
