import { isObject, type JsonValue } from '#lib/json.ts'

const DEPTH_MAX = 8

/** The smallest value that a JSON Schema plausibly accepts: required members only, first choices, zeros. */
export function exampleOf(schema: JsonValue, depth = 0): JsonValue {
  if (!isObject(schema) || depth > DEPTH_MAX) return null
  if (schema.const !== undefined) return schema.const
  if (schema.default !== undefined) return schema.default
  for (const choices of [schema.enum, schema.examples]) if (Array.isArray(choices)) return choices[0]
  for (const choices of [schema.anyOf, schema.oneOf, schema.allOf]) {
    if (Array.isArray(choices)) return exampleOf(choices[0], depth + 1)
  }
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'string') return 'demo'
  if (type === 'number' || type === 'integer') return typeof schema.minimum === 'number' ? schema.minimum : 0
  if (type === 'boolean') return false
  if (type === 'array') return []
  if (type === 'object' || isObject(schema.properties)) return exampleObject(schema.properties, schema.required, depth)
  return null
}

function exampleObject(properties: JsonValue, required: JsonValue, depth: number): JsonValue {
  const names = Array.isArray(required) ? required.filter(name => typeof name === 'string') : []
  const schemas = isObject(properties) ? properties : {}
  return Object.fromEntries(names.map(name => [name, exampleOf(schemas[name] ?? { type: 'string' }, depth + 1)]))
}
