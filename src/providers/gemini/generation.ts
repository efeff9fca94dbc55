import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { stopsOf } from '../stops.ts'
import { refuse } from '../unsupported.ts'
import { GENERATION, isAsked } from './parameters.ts'
import { toGeminiSchema } from './schema.ts'
import { toThinkingConfig } from './thinking.ts'

const STOPS_MAX = 5
const CANDIDATES_MAX = 8

/** Builds Gemini's `generationConfig`.
 *
 * @param thinking The caller's own `thinkingConfig`, which wins over the effort. */
export function toGenerationConfig(body: JsonObject, model: string, thinking: JsonValue): JsonObject {
  const config: Record<string, JsonValue> = {}
  for (const name in GENERATION) if (isAsked(body, name)) config[GENERATION[name] ?? name] = body[name]
  if (body.logprobs === true && isAsked(body, 'top_logprobs')) config.logprobs = body.top_logprobs
  if (typeof body.n === 'number' && body.n > CANDIDATES_MAX)
    throw refuse('n', `more than ${CANDIDATES_MAX} choices`, 'send the request several times')
  const stops = stopsOf(body.stop)
  if (stops.length > STOPS_MAX) throw refuse('stop', `more than ${STOPS_MAX} stop sequences`, 'send fewer')
  if (stops.length > 0) config.stopSequences = stops
  const thinkingConfig = toThinkingConfig(body.reasoning_effort, thinking, model)
  if (thinkingConfig !== undefined) config.thinkingConfig = thinkingConfig
  return { ...config, ...toResponseFormat(body.response_format) }
}

function toResponseFormat(format: JsonValue): JsonObject {
  if (!isObject(format) || format.type === 'text') return {}
  const isSchema = format.type === 'json_schema'
  if (!isSchema && format.type !== 'json_object')
    throw refuse('response_format', 'this response_format', 'use json_object or json_schema')
  const given = isSchema && isObject(format.json_schema) ? format.json_schema.schema : undefined
  if (given === undefined) return { responseMimeType: 'application/json' }
  const { schema, lost } = toGeminiSchema(given)
  const [first] = lost
  if (first !== undefined) {
    const place = `response_format.json_schema.schema.${first}`
    throw refuse(place, `${first} in a schema`, 'leave it out and check the answer yourself')
  }
  return { responseMimeType: 'application/json', responseJsonSchema: schema }
}
