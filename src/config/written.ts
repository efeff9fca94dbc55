import { formatDuration, formatSize } from '#lib/duration.ts'
import { innerOf, type JsonSchema } from './json-schema.ts'

/** Writes values as a file has them: of what is held in milliseconds or bytes a bare number would count otherwise.
 *
 * @param schema The JSON Schema of the configuration.
 * @returns Writes the value of a key, which is named by its path with dots. */
export function createWriter(schema: JsonSchema): (key: string, value: unknown) => unknown {
  const quantities = [...quantitiesOf(schema, '')].map(({ path, unit }) => ({ pattern: new RegExp(`^${path}$`), unit }))
  return (key, value) => {
    if (typeof value !== 'number') return value
    const unit = quantities.find(({ pattern }) => pattern.test(key))?.unit
    return unit === undefined ? value : unit === 'ms' ? formatDuration(value) : formatSize(value)
  }
}

interface Quantity {
  /** A pattern: names, which may hold dots, and places in lists stand for any. */
  readonly path: string
  readonly unit: unknown
}

function* quantitiesOf(schema: JsonSchema, path: string): Iterable<Quantity> {
  const { properties = {}, 'x-unit': unit } = schema
  if (unit !== undefined) yield { path, unit }
  const to = (step: string) => (path === '' ? step : `${path}\\.${step}`)
  for (const [name, inner] of Object.entries(properties))
    if (typeof inner === 'object') yield* quantitiesOf(inner, to(name))
  for (const inner of schema.anyOf ?? []) if (typeof inner === 'object') yield* quantitiesOf(inner, path)
  for (const inner of innerOf({ ...schema, properties: {}, anyOf: [] })) yield* quantitiesOf(inner, to('.+'))
}
