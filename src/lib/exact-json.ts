import { parseJson } from './json.ts'

declare global {
  // The compiler does not know it yet, nor the reviver's third argument: ECMAScript's "JSON.parse source text access".
  interface JSON {
    rawJSON(text: string): unknown
  }
}

/** Whether a text may hold an integer that a double does not. */
const LONG = /\d{16}/
const LONG_INTEGER = /^-?\d{16,}$/
const CONTAINER = /^\s*[{[]/

/** Parses JSON that is written as JSON again: of objects and lists, integers that a number cannot hold, such as the ids
 * of many services, are kept as they stand.
 *
 * @returns `undefined` when the text is none. */
export function parseExactly(text: string): unknown {
  if (!LONG.test(text) || !CONTAINER.test(text)) return parseJson(text)
  try {
    return JSON.parse(text, keepLong)
  } catch {
    return undefined
  }
}

function keepLong(_: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source
  if (typeof value !== 'number' || source === undefined || !LONG_INTEGER.test(source)) return value
  return String(value) === source ? value : JSON.rawJSON(source)
}
