import { GatewayError } from '#core/errors.ts'
import { isObject, parseJson } from '#lib/json.ts'

/** What tells a row from all others in the order of its list. */
type Place<Name extends string> = Readonly<Record<Name, string | null>>

/** Says where the next page begins: behind this row, and not behind so many, for rows come and go between two pages. */
export function writeCursor(place: Place<string>): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url')
}

/** Reads what `writeCursor` wrote of a row of the same list.
 *
 * @throws GatewayError `invalid_request` when it is none of those. */
export function readCursor<Name extends string>(text: string, names: readonly Name[]): Place<Name> {
  const place = parseJson(Buffer.from(text, 'base64url').toString())
  if (!isPlace(place, names)) throw badCursor()
  return place
}

/** The error for an end of a page that no page had. */
export function badCursor(): GatewayError {
  return new GatewayError('invalid_request', 'after must be the `next` of another page.', { param: 'after' })
}

function isPlace<Name extends string>(value: unknown, names: readonly Name[]): value is Place<Name> {
  if (!isObject(value) || Object.keys(value).join() !== names.join()) return false
  // No row has a NUL, which no statement to Postgres may hold.
  return Object.values(value).every(each => each === null || (typeof each === 'string' && !each.includes('\0')))
}
