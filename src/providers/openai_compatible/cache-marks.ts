import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** Anthropic's mark of what to cache, which callers send who also reach Claude. A service that drops the parameter of this
 * name refuses the mark in messages and tools, too. */
export const CACHE_MARK = 'cache_control'

/** Takes Anthropic's marks of what to cache off messages and their parts, or off tools.
 *
 * @returns The same list when it has none. */
export function withoutCacheMarks(list: JsonValue): JsonValue {
  if (!Array.isArray(list) || !list.some(isMarked)) return list
  return list.map(item => (isMarked(item) ? unmark(item) : item))
}

function isMarked(item: JsonValue): item is JsonObject {
  if (!isObject(item)) return false
  return item.cache_control !== undefined || (Array.isArray(item.content) && item.content.some(isMarked))
}

function unmark({ cache_control: _, ...item }: JsonObject): JsonObject {
  return Array.isArray(item.content) ? { ...item, content: withoutCacheMarks(item.content) } : item
}
