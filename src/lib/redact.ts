/** What looks like a secret wherever it stands: keys of providers and of this gateway, bearer tokens, JSON Web Tokens,
 * passwords in addresses. */
const SECRETS: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/\b(?:sk|ck|pk|rk|gw|whsec|xox[bp]|gh[pousr]|AIza)[-_][\w-]{12,}|\bAIza[\w-]{20,}/g, '[redacted]'],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, '$1 [redacted]'],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, '[redacted]'],
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@"\\]*):[^\s@/"\\]+@/gi, '$1:[redacted]@'],
]

/** Takes out of a text what looks like a secret. */
export function redactPatterns(text: string): string {
  let clean = text
  for (const [pattern, replacement] of SECRETS) clean = clean.replace(pattern, replacement)
  return clean
}
