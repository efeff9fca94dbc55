import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** What the API compiles of all exact schemas of one request together; it answers 400 to more. */
const ROOM = { tools: 20, optional: 24, unions: 16 } as const

/** Where a fitted schema holds others. */
const PARTS = ['properties', '$defs', 'definitions', 'anyOf', 'allOf', 'items'] as const

/** The schemas of one request that the API is to hold its model to. */
export class Grammar {
  private tools = 0
  private optional = 0
  private unions = 0

  /** Takes a schema in, if there is still room for it.
   *
   * @param tools How many tools it is of: the schema of an answer is of none. */
  takes(schema: JsonObject, tools: 0 | 1): boolean {
    const size = sizeOf(schema)
    const left = {
      tools: ROOM.tools - this.tools - tools,
      optional: ROOM.optional - this.optional - size.optional,
      unions: ROOM.unions - this.unions - size.unions,
    }
    if (Math.min(left.tools, left.optional, left.unions) < 0) return false
    this.tools += tools
    this.optional += size.optional
    this.unions += size.unions
    return true
  }
}

/** The properties of a schema, at all depths, that may be left out, and those of several types. */
function sizeOf(schema: JsonObject): { readonly optional: number; readonly unions: number } {
  const { properties, required } = schema
  const needed: readonly JsonValue[] = Array.isArray(required) ? required : []
  const own = isObject(properties) ? Object.entries(properties) : []
  let optional = own.filter(([name]) => !needed.includes(name)).length
  let unions = own.filter(([, value]) => isUnion(value)).length
  for (const name of PARTS) {
    const part = schema[name]
    const inner = name === 'items' ? [part] : isObject(part) || Array.isArray(part) ? Object.values(part) : []
    for (const each of inner.filter(isObject)) {
      const size = sizeOf(each)
      optional += size.optional
      unions += size.unions
    }
  }
  return { optional, unions }
}

function isUnion(value: JsonValue): boolean {
  return isObject(value) && (Array.isArray(value.type) || Array.isArray(value.anyOf))
}
