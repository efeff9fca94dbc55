import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** The keywords of JSON Schema that the API enforces; it answers 400 to all others. */
const KEPT: ReadonlySet<string> = new Set([
  '$schema',
  '$ref',
  'type',
  'enum',
  'const',
  'default',
  'title',
  'description',
  'required',
  'format',
])
const FORMATS: ReadonlySet<unknown> = new Set([
  'date-time',
  'time',
  'date',
  'duration',
  'email',
  'hostname',
  'uri',
  'ipv4',
  'ipv6',
  'uuid',
])
const MAPS: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions'])
const LISTS: ReadonlyMap<string, string> = new Map([
  ['anyOf', 'anyOf'],
  ['oneOf', 'anyOf'],
  ['allOf', 'allOf'],
])

/** Fits a JSON Schema to the part of it that structured outputs know. A bound that cannot be enforced is told to the
 * model in the description instead.
 *
 * @returns `null` for a schema that cannot be expressed at all: objects with any keys. */
export function toOutputSchema(schema: JsonValue): JsonObject | null {
  try {
    return isObject(schema) ? fit(schema) : null
  } catch (thrown) {
    if (thrown instanceof Inexpressible) return null
    throw thrown
  }
}

class Inexpressible extends Error {}

function fit(schema: JsonObject): JsonObject {
  const fitted: Record<string, JsonValue> = {}
  const told: string[] = []
  for (const [key, value] of Object.entries(schema)) {
    const list = LISTS.get(key)
    if (key === 'additionalProperties') continue
    if (MAPS.has(key) && isObject(value)) fitted[key] = mapOf(value)
    else if (list !== undefined && Array.isArray(value)) fitted[list] = value.map(fitAny)
    else if (key === 'items') fitted.items = fitAny(value)
    else if (isKept(key, value)) fitted[key] = value
    else told.push(`${key}: ${JSON.stringify(value)}`)
  }
  if (schema.type === 'object' || isObject(schema.properties)) {
    const isOpen = schema.additionalProperties === true || isObject(schema.additionalProperties)
    if (isOpen || !isObject(schema.properties)) throw new Inexpressible()
    fitted.additionalProperties = false
  }
  if (told.length > 0) fitted.description = [schema.description, `{${told.join(', ')}}`].filter(Boolean).join(' ')
  return fitted
}

function fitAny(value: JsonValue): JsonValue {
  return isObject(value) ? fit(value) : value
}

function mapOf(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, fitAny(part)]))
}

function isKept(key: string, value: JsonValue): boolean {
  if (key === 'format') return FORMATS.has(value)
  if (key === 'minItems') return value === 0 || value === 1
  return KEPT.has(key)
}
