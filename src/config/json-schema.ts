import { z } from 'zod'
import { formatDuration, formatSize } from '#lib/duration.ts'
import { isObject } from '#lib/json.ts'
import { configSchema } from './schema.ts'

export type JsonSchema = z.core.JSONSchema.BaseSchema

const REFERENCE = '\\$\\{'

/** Describes the files for editors: every key with its meaning, kind and default.
 *
 * Any value may also be a reference to a variable, which is text. What one part says of another is not in it. */
export function configJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(configSchema, { io: 'input' })
  allowReferences(schema)
  describeDefaults(schema, configSchema.parse({}), '')
  // A section of which every line is commented out is an empty one.
  for (const section of Object.values(schema.properties ?? {}))
    if (isSchema(section) && typeof section.type === 'string') Object.assign(section, { type: [section.type, 'null'] })
  return { $schema: schema.$schema, title: 'Citadel Gateway configuration', ...schema }
}

/** In a file, what a variable gives is not known yet. Names of keys are never references. */
function allowReferences(schema: JsonSchema): void {
  for (const inner of innerOf(schema)) allowReferences(inner)
  if (typeof schema.pattern === 'string') schema.pattern = `(?:${schema.pattern})|${REFERENCE}`
  const { type, 'x-text': text } = schema
  const isPlain = type === 'number' || type === 'integer' || type === 'boolean' || Array.isArray(schema.enum)
  if (!isPlain && text === undefined) return
  const { description, default: preset, title, 'x-text': _, ...value } = schema
  for (const key of Object.keys(schema)) Reflect.deleteProperty(schema, key)
  const texts = [text, REFERENCE].filter(pattern => typeof pattern === 'string')
  Object.assign(schema, { anyOf: [value, ...texts.map(pattern => ({ type: 'string', pattern }))] })
  if (description !== undefined) schema.description = description
  if (preset !== undefined) schema.default = preset
  if (title !== undefined) schema.title = title
}

/** Lists what describes the values within a value. */
export function innerOf(schema: JsonSchema): JsonSchema[] {
  const { properties = {}, items, prefixItems = [], anyOf = [], additionalProperties } = schema
  return [...Object.values(properties), items, ...prefixItems, ...anyOf, additionalProperties].flat().filter(isSchema)
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// The generator leaves out the defaults of values that are converted, which here are most.
function describeDefaults(schema: JsonSchema, preset: unknown, name: string): void {
  if (name !== '') schema.title = name
  const properties = Object.entries(schema.properties ?? {})
  if (properties.length === 0) {
    if (preset !== undefined) schema.default = written(schema, preset)
    else Reflect.deleteProperty(schema, 'default')
    return
  }
  for (const [key, inner] of properties)
    if (typeof inner === 'object') describeDefaults(inner, isObject(preset) ? preset[key] : undefined, key)
}

function written(schema: JsonSchema, preset: unknown): unknown {
  if (Array.isArray(preset)) return preset.map((each, index) => writtenItem(schema, each, index))
  if (typeof preset !== 'number') return preset
  if (schema['x-unit'] === 'ms') return formatDuration(preset)
  return schema['x-unit'] === 'bytes' ? formatSize(preset) : preset
}

function writtenItem({ prefixItems, items }: JsonSchema, preset: unknown, index: number): unknown {
  const schema = prefixItems?.[index] ?? items
  return isSchema(schema) ? written(schema, preset) : preset
}
