import { z } from 'zod'
import { formatDuration, formatSize } from '#lib/duration.ts'
import { configSchema } from './schema.ts'

type JsonSchema = z.core.JSONSchema.BaseSchema

/** Describes the files for editors: every key with its meaning, kind and default.
 *
 * Any value may also be a reference to a variable, which is text. */
export function configJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    // The names of keys are read as they are written.
    override: ({ jsonSchema, path }) => path.at(-1) !== 'propertyNames' && allowReferences(jsonSchema),
  })
  describeDefaults(schema, configSchema.parse({}), '')
  return { $schema: schema.$schema, title: 'Citadel Gateway configuration', ...schema }
}

// In a file, what a variable gives is not known yet.
function allowReferences(schema: JsonSchema): void {
  const { type } = schema
  const isWord = Array.isArray(schema.enum) || schema.pattern !== undefined
  if (type !== 'number' && type !== 'integer' && type !== 'boolean' && !isWord) return
  const { description, default: preset, ...value } = schema
  for (const key of Object.keys(schema)) Reflect.deleteProperty(schema, key)
  Object.assign(schema, { anyOf: [value, { type: 'string', pattern: '\\$\\{' }] })
  if (description !== undefined) schema.description = description
  if (preset !== undefined) schema.default = preset
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
    if (typeof inner === 'object') describeDefaults(inner, isRecord(preset) ? preset[key] : undefined, key)
}

function written(schema: JsonSchema, preset: unknown): unknown {
  if (typeof preset !== 'number') return preset
  if (schema['x-unit'] === 'ms') return formatDuration(preset)
  return schema['x-unit'] === 'bytes' ? formatSize(preset) : preset
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
