export type JsonValue = string | number | boolean | null | undefined | JsonObject | readonly JsonValue[]
export interface JsonObject {
  readonly [key: string]: JsonValue
}

/** Whether a value is an object, not an array and not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Parses JSON; `undefined` when the text is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const NAMES_MAX = 1000
const names = new Map<string, string>()

/** Writes a name as JSON; names come again and again, so the last ones are remembered. */
export function nameToJson(name: string): string {
  const known = names.get(name)
  if (known !== undefined) return known
  if (names.size >= NAMES_MAX) names.clear()
  const text = JSON.stringify(name)
  names.set(name, text)
  return text
}

/** Whether a parsed value nests deeper than `limit`. */
export function isDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (limit === 0) return true
  if (Array.isArray(value)) return value.some(item => isDeeperThan(item, limit - 1))
  for (const key in value) if (isDeeperThan((value as JsonObject)[key], limit - 1)) return true
  return false
}

const QUOTE = 34
const BACKSLASH = 92

/** What a JSON text has too much of: levels, members of all its objects together, or objects and lists together. Found
 * by scanning the text, without building anything.
 *
 * Parsing such a text is expensive: ten megabytes of brackets block the event loop for over a second, ten megabytes of
 * members with different names for three seconds, and of empty objects for half a second. */
export function excessIn(text: string, depthMax: number, membersMax = Infinity): 'depth' | 'members' | null {
  let depth = 0
  let members = 0
  let opened = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = endOfString(text, at)
      if (at < 0) return null
    } else if (code === 123 || code === 91) {
      if (++depth > depthMax) return 'depth'
      if (++opened > membersMax) return 'members'
    } else if (code === 125 || code === 93) depth--
    else if (code === 58 && ++members > membersMax) return 'members'
  }
  return null
}

/** Whether some object within a *valid* JSON text has a member twice. Parsers differ in which of the two they read.
 *
 * @param value What the text parses to, which has only one of them. */
export function hasDoubles(text: string, value: unknown): boolean {
  let written = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    else if (code === 58) written++
  }
  return written > countMembers(value)
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let count = 0
  if (Array.isArray(value)) for (const item of value) count += countMembers(item)
  else for (const key in value) count += 1 + countMembers((value as JsonObject)[key])
  return count
}

/** The most members for which duplicates are looked for. OpenAI's requests have less than half as many. */
const MEMBERS_MAX = 64

/** Where a member of the top-level object stands in the text. */
export interface Member {
  readonly key: string
  /** The opening quote of the key. */
  readonly start: number
  readonly valueStart: number
  /** Just behind the value. */
  readonly end: number
}

/** Finds the members of the top-level object of a *valid* JSON text.
 *
 * @returns `null` when the text cannot be patched safely: a key occurs twice, keys are written with escapes, or there
 * are so many that looking for doubles would take long. */
export function topLevelMembers(text: string): readonly Member[] | null {
  const members: Member[] = []
  let at = skipSpace(text, 0)
  if (text.charCodeAt(at) !== 123) return null
  at = skipSpace(text, at + 1)
  while (text.charCodeAt(at) === QUOTE) {
    const start = at
    const keyEnd = endOfString(text, at)
    const key = text.slice(start + 1, keyEnd)
    if (members.length === MEMBERS_MAX || key.includes('\\') || hasMember(members, key)) return null
    const valueStart = skipSpace(text, skipSpace(text, keyEnd + 1) + 1)
    const end = endOfValue(text, valueStart)
    members.push({ key, start, valueStart, end })
    at = skipSpace(text, end)
    if (text.charCodeAt(at) !== 44) break
    at = skipSpace(text, at + 1)
  }
  return members
}

/** The new JSON text of a member; `null` leaves it out. */
export interface Change {
  readonly key: string
  readonly text: string | null
}

/** From this length on, in characters, a part of the text stays a piece of its own and is not copied together with its
 * neighbours. */
const LONG = 512

/** Writes a top-level object again with some members changed; all other bytes stay as they are.
 *
 * @param changes At most one for each member, and few, because they are searched for each member. Absent members are
 * added.
 * @returns The text in pieces, so that nothing long is copied. */
export function patchMembers(text: string, members: readonly Member[], changes: readonly Change[]): readonly string[] {
  const pieces: string[] = []
  let open = text.slice(0, text.indexOf('{') + 1)
  let comma = ''
  const add = (piece: string) => {
    if (piece.length <= LONG) {
      open += piece
      return
    }
    pieces.push(open, piece)
    open = ''
  }
  // What stays unchanged is copied in as few slices as there are changes; -1 = no slice has begun.
  let from = -1
  let end = -1
  let met = 0
  for (const member of members) {
    const change = changeOf(changes, member)
    if (change !== null) met++
    if (change?.text === null) {
      if (from >= 0) add(text.slice(from, end))
      from = -1
      continue
    }
    if (from < 0) {
      open += comma
      comma = ','
      from = member.start
    }
    end = member.end
    if (change === null) continue
    add(text.slice(from, member.valueStart))
    add(change.text)
    from = end
  }
  if (from >= 0) add(text.slice(from, end))
  if (met < changes.length) {
    for (const change of changes) {
      if (change.text === null || hasMember(members, change.key)) continue
      open += `${comma}${JSON.stringify(change.key)}:`
      comma = ','
      add(change.text)
    }
  }
  pieces.push(`${open}}`)
  return pieces
}

function changeOf(changes: readonly Change[], { key }: Member): Change | null {
  for (const change of changes) if (change.key.length === key.length && change.key === key) return change
  return null
}

/** A search, not a map: a map would be filled for only one or two look-ups. */
function hasMember(members: readonly Member[], key: string): boolean {
  for (const member of members) if (member.key.length === key.length && member.key === key) return true
  return false
}

function skipSpace(text: string, from: number): number {
  let at = from
  for (let code = text.charCodeAt(at); code === 32 || code === 10 || code === 13 || code === 9; ) {
    code = text.charCodeAt(++at)
  }
  return at
}

/** The closing quote of the string that opens at `from`; -1 when there is none. */
function endOfString(text: string, from: number): number {
  let at = text.indexOf('"', from + 1)
  while (at > 0) {
    let backslashes = 0
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return at
    at = text.indexOf('"', at + 1)
  }
  return -1
}

function endOfValue(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = endOfString(text, at)
      if (depth === 0) return at + 1
    } else if (code === 123 || code === 91) depth++
    else if (code === 125 || code === 93) {
      if (depth === 0) return at
      if (--depth === 0) return at + 1
    } else if (depth === 0 && (code === 44 || code <= 32)) return at
  }
  return text.length
}
