import { formatDuration, formatSize } from '#lib/duration.ts'
import { innerOf, type JsonSchema } from './json-schema.ts'

/** Creates the function that writes values as in a file: durations and sizes with their units, because a bare number of
 * milliseconds or bytes would be read as another one.
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
  /** A pattern for the paths of a key: names, which may contain dots, and list indexes match anything. */
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
