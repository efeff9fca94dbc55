import type { JsonObject, JsonValue } from '#lib/json.ts'

const NONE: ReadonlySet<string> = new Set()

/** Writes a value so that two are written alike only when they mean the same: the members of objects in order, and
 * every text behind its length, so that nothing has to be escaped.
 *
 * @param without Names of members of the outermost object that are left out.
 * @param before A text to stand in front of it, so that both become one in one copy.
 * @returns `null` when parsing has lost a part of a number, so that two values could look the same. */
export function canonical(value: JsonValue, without: ReadonlySet<string> = NONE, before = ''): string | null {
  try {
    const text = before + write(value, without)
    // Half a character has no bytes of its own.
    return text.isWellFormed() ? text : JSON.stringify(text)
  } catch (thrown) {
    if (thrown === INEXACT) return null
    throw thrown
  }
}

const INEXACT = new RangeError('a number that is not exact')
/** So few names are put in order more quickly by hand. */
const FEW = 16

function write(value: JsonValue, without: ReadonlySet<string>): string {
  if (typeof value === 'string') return `${value.length}:${value}`
  if (typeof value === 'number') return `n${exact(value)};`
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (typeof value !== 'object' || value === null) return 'z'
  return isList(value) ? writeList(value) : writeObject(value, without)
}

function writeList(list: readonly JsonValue[]): string {
  let text = '['
  for (const item of list) text += write(item, NONE)
  return `${text}]`
}

function writeObject(value: JsonObject, without: ReadonlySet<string>): string {
  let text = '{'
  for (const name of inOrder(Object.keys(value))) {
    const member = value[name]
    if (member !== undefined && !without.has(name)) text += `${name.length}:${name}${write(member, NONE)}`
  }
  return `${text}}`
}

function inOrder(names: string[]): readonly string[] {
  if (names.length > FEW) return names.sort()
  for (let at = 1; at < names.length; at++) {
    const name = names[at] ?? ''
    let to = at
    for (; to > 0 && (names[to - 1] ?? '') > name; to--) names[to] = names[to - 1] ?? ''
    names[to] = name
  }
  return names
}

function isList(value: JsonObject | readonly JsonValue[]): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function exact(value: number): number {
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) throw INEXACT
  return value
}
