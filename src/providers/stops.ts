import type { JsonValue } from '#lib/json.ts'

/** The texts of a `stop`. Empty ones say nothing, though many applications send them for what is not set: a server that
 * looks for one finds it at once. */
export function stopsOf(stop: JsonValue): readonly JsonValue[] {
  const given = typeof stop === 'string' ? [stop] : Array.isArray(stop) ? stop : []
  return given.filter(text => text !== '')
}
