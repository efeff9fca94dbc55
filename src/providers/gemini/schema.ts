import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** A schema as Gemini accepts it, and the paths of the keywords that were left out. */
interface GeminiSchema {
  readonly schema: JsonObject
  readonly lost: readonly string[]
}

/** Keywords of JSON Schema that Gemini takes as they are; from the reference of `responseJsonSchema`. */
const KEPT = wordsOf(
  '$anchor $id description format maxItems maximum minItems minimum propertyOrdering required title type',
)

/** Keywords that forbid something and that Gemini does not know. All others are annotations, which forbid nothing. */
const LOST = wordsOf(
  `$dynamicRef contains dependencies dependentRequired dependentSchemas else if maxLength maxProperties minLength
  minProperties multipleOf not pattern patternProperties propertyNames then unevaluatedItems unevaluatedProperties`,
)

type Out = Record<string, JsonValue>
/** Translates one keyword into members of the schema; `false` when it cannot be said. */
type Rule = (value: JsonValue, schema: JsonObject, out: Out, at: Place) => boolean

interface Place {
  readonly path: string
  readonly lost: string[]
}

const RULES: ReadonlyMap<string, Rule> = new Map(
  Object.entries<Rule>({
    $ref: toRef,
    $defs: toMap('$defs'),
    definitions: toMap('$defs'),
    properties: toMap('properties'),
    prefixItems: toList('prefixItems'),
    anyOf: toList('anyOf'),
    oneOf: toList('oneOf'),
    items: (value, schema, out, at) =>
      Array.isArray(value)
        ? toList('prefixItems')(value, schema, out, at)
        : assign(out, 'items', convert(value, below(at, 'items'))),
    additionalProperties: (value, _, out, at) =>
      assign(
        out,
        'additionalProperties',
        typeof value === 'boolean' ? value : convert(value, below(at, 'additionalProperties')),
      ),
    enum: (value, _, out) => toEnum(Array.isArray(value) ? value : [], out),
    const: (value, _, out) => toEnum([value], out),
    nullable: (value, { type }, out) =>
      value !== true || (typeof type === 'string' && assign(out, 'type', [type, 'null'])),
    exclusiveMinimum: (value, { type }, out) =>
      type === 'integer' && Number.isInteger(value) && assign(out, 'minimum', Number(value) + 1),
    exclusiveMaximum: (value, { type }, out) =>
      type === 'integer' && Number.isInteger(value) && assign(out, 'maximum', Number(value) - 1),
    uniqueItems: value => value !== true,
    allOf: (value, _, out, at) => {
      const [only, ...others] = Array.isArray(value) ? value : []
      if (others.length > 0) return false
      Object.assign(out, { ...convert(only ?? true, below(at, 'allOf.0')), ...out })
      return true
    },
  }),
)

/** Translates a JSON Schema into the part of it that Gemini takes. */
export function toGeminiSchema(schema: JsonValue): GeminiSchema {
  const lost: string[] = []
  return { schema: convert(schema, { path: '', lost }), lost }
}

function convert(schema: JsonValue, at: Place): JsonObject {
  if (!isObject(schema)) {
    if (schema === false) at.lost.push(`${at.path}false`)
    return {}
  }
  const out: Out = {}
  for (const name in schema) {
    const value = schema[name]
    if (KEPT.has(name)) {
      if (!(name in out)) out[name] = value
    } else if (RULES.get(name)?.(value, schema, out, at) === false) at.lost.push(at.path + name)
    else if (LOST.has(name) && value !== 0 && value !== null) at.lost.push(at.path + name)
  }
  return '$ref' in out ? onlyRef(out, at) : out
}

/** Beside a `$ref` Gemini accepts only keywords that begin with a dollar. */
function onlyRef(out: Out, at: Place): JsonObject {
  const kept = Object.entries(out).filter(([name]) => name.startsWith('$'))
  const notes = new Set(['description', 'title'])
  for (const name in out) if (!name.startsWith('$') && !notes.has(name)) at.lost.push(at.path + name)
  return Object.fromEntries(kept)
}

function toRef(value: JsonValue, _: JsonObject, out: Out): boolean {
  const local = typeof value === 'string' ? /^#(?:\/(?:\$defs|definitions)\/(.+))?$/.exec(value) : null
  if (local === null) return false
  return assign(out, '$ref', local[1] === undefined ? '#' : `#/$defs/${local[1]}`)
}

function toMap(name: string): Rule {
  return (value, _, out, at) => {
    if (!isObject(value)) return true
    const entries = Object.entries(value).map(([key, one]) => [key, convert(one, below(at, `${name}.${key}`))])
    return assign(out, name, Object.fromEntries(entries))
  }
}

function toList(name: string): Rule {
  return (value, _, out, at) =>
    !Array.isArray(value) ||
    assign(
      out,
      name,
      value.map((one, index) => convert(one, below(at, `${name}.${index}`))),
    )
}

/** Gemini's enums hold texts and numbers; null beside them is a type, and both booleans together are one. */
function toEnum(values: readonly JsonValue[], out: Out): boolean {
  const plain = values.filter(value => typeof value === 'string' || typeof value === 'number')
  const others = new Set(values.filter(value => typeof value !== 'string' && typeof value !== 'number'))
  const hasNull = others.delete(null)
  if (plain.length === 0 && others.size === 2) return assign(out, 'type', hasNull ? ['boolean', 'null'] : 'boolean')
  if (others.size > 0) return false
  if (plain.length === 0) return assign(out, 'type', 'null')
  if (!hasNull) return assign(out, 'enum', plain)
  const type = plain.every(value => typeof value === 'string') ? 'string' : 'number'
  out.type = undefined
  return assign(out, 'anyOf', [{ type, enum: plain }, { type: 'null' }])
}

function assign(out: Out, name: string, value: JsonValue): true {
  out[name] = value
  return true
}

function below({ path, lost }: Place, name: string): Place {
  return { path: `${path}${name}.`, lost }
}

function wordsOf(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/))
}
