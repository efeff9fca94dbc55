import type { Call } from '#core/call.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { refuse } from '../unsupported.ts'
import { Grammar } from './grammar.ts'
import type { Traits } from './models.ts'
import { toOutputSchema } from './schema.ts'
import { type Tools, toInputSchema, toTools } from './tools.ts'

/** The tool that stands for an answer in JSON: the input of its call is the answer. */
const ANSWER_TOOL = 'json_answer'

/** The parts of a request that ask for an answer in JSON. */
export interface Output {
  readonly format?: JsonObject
  readonly tools: Tools
}

/** Translates tools and `response_format`: the latter to the API's structured outputs, or, where the model or the schema
 * does not fit them, to a tool that has to be called.
 *
 * @throws GatewayError `unsupported_parameter` where neither is possible. */
export function toOutput(body: JsonObject, traits: Traits): Output {
  const wanted = schemaOf(body)
  const schema = traits.structured ? toOutputSchema(wanted) : null
  const grammar = new Grammar()
  // The answer comes first; what no other way leads to is left to the API, whose error says what is too much.
  const fits = schema !== null && (grammar.takes(schema, 0) || !traits.forcedTools)
  const tools = toTools(body, traits, grammar)
  if (wanted === null) return { tools }
  if (fits) return { format: { type: 'json_schema', schema }, tools }
  if (!traits.forcedTools) {
    throw refuse('response_format', 'JSON of any shape', 'give a json_schema without open objects')
  }
  const answer = {
    name: ANSWER_TOOL,
    description: 'Gives the answer to the user.',
    input_schema: toInputSchema(wanted),
  }
  // Where the caller gave tools, the model must call one of them or the tool of the answer.
  const others = tools.choice?.type === 'none' ? [] : (tools.tools ?? [])
  const choice = others.length > 0 ? { type: 'any' } : { type: 'tool', name: ANSWER_TOOL }
  return { tools: { tools: [...others, answer], choice: { ...choice, disable_parallel_tool_use: true } } }
}

/** Whether a tool call of an answer is the answer itself. */
export function isAnswer(call: Call, name: unknown): boolean {
  return name === ANSWER_TOOL && schemaOf(call.body) !== null
}

/** The schema of the JSON that was asked for; `null` when none was. */
function schemaOf({ response_format: format }: JsonObject): JsonObject | null {
  if (!isObject(format) || format.type === 'text') return null
  if (format.type === 'json_object') return { type: 'object' }
  const schema = isObject(format.json_schema) ? format.json_schema.schema : undefined
  if (format.type === 'json_schema') return isObject(schema) ? schema : { type: 'object' }
  throw refuse('response_format', 'this response_format', 'use json_object or json_schema')
}
