const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const LENGTH_MAX = 512

/** Checks a `traceparent` header (W3C Trace Context §3.2) and gives it as version 00, which every reader knows.
 *
 * @returns `null` when it is not valid: then a trace must not be continued. */
export function parseTraceparent(text: string): string | null {
  const match = text.length > LENGTH_MAX ? null : TRACEPARENT.exec(text)
  if (match === null) return null
  const [, version, trace = '', parent = '', flags, rest] = match
  // Later versions may append fields; this one may not, and ff is never a version.
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null
  if (/^0+$/.test(trace) || /^0+$/.test(parent)) return null
  return `00-${trace}-${parent}-${flags}`
}
