import { excessIn } from '#lib/json.ts'

/** The deepest nesting that is read, far more than any answer has. The runtime can parse what nests some ten thousand
 * levels deep, but not write it, and takes a second to find that out. */
const DEPTH_MAX = 1000
/** A text shorter than this is not checked: it cannot have so many levels or members that they cost anything. */
const SCANNED_MIN = 32 * 1024

/** Whether a JSON text of a server would block the event loop.
 *
 * @param membersMax How many members its objects may have together, and how many objects and lists there may be. */
export function isExcessive(text: string, membersMax?: number): boolean {
  return text.length > SCANNED_MIN && excessIn(text, DEPTH_MAX, membersMax) !== null
}
