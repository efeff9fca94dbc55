import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { refuse } from '../unsupported.ts'
import type { Grammar } from './grammar.ts'
import type { Traits } from './models.ts'
import { toOutputSchema } from './schema.ts'
import { malformed } from './unsupported.ts'

/** The tools that the model may call, and whether it must call one. */
export interface Tools {
  readonly tools?: readonly JsonObject[]
  readonly choice?: JsonObject
}

/** Translates `tools`, `tool_choice` and `parallel_tool_calls`.
 *
 * @param grammar Takes in the schemas of strict tools; those for which it has no room are sent as those of others. */
export function toTools(body: JsonObject, traits: Traits, grammar: Grammar): Tools {
  const given = Array.isArray(body.tools) ? body.tools : []
  if (given.length === 0) return {}
  const { mode, names } = readChoice(body.tool_choice)
  const tools = given.map((tool, at) => toTool(tool, `tools.${at}`, traits, grammar))
  const admitted = names === null ? tools : tools.filter(tool => names.has(tool.name))
  const alone = body.parallel_tool_calls === false && mode.type !== 'none'
  const choice = alone ? { ...mode, disable_parallel_tool_use: true } : mode
  // The default of the API needs no `tool_choice`.
  return { tools: admitted, choice: choice.type === 'auto' && !alone ? undefined : choice }
}

/** Whether a tool must be called. */
export function isForced({ choice }: Tools): boolean {
  return choice?.type === 'any' || choice?.type === 'tool'
}

interface Choice {
  readonly mode: JsonObject
  /** The only tools that are admitted; `null` for all of them. */
  readonly names: ReadonlySet<JsonValue> | null
}

function readChoice(choice: JsonValue): Choice {
  if (choice === 'none') return { mode: { type: 'none' }, names: null }
  if (choice === 'required') return { mode: { type: 'any' }, names: null }
  if (!isObject(choice)) return { mode: { type: 'auto' }, names: null }
  if (choice.type === 'function') return { mode: { type: 'tool', name: nameOf(choice) }, names: null }
  if (choice.type === 'allowed_tools') {
    const { mode, tools } = isObject(choice.allowed_tools) ? choice.allowed_tools : {}
    const names = new Set(Array.isArray(tools) ? tools.map(nameOf) : [])
    return { mode: { type: mode === 'required' ? 'any' : 'auto' }, names }
  }
  if (choice.type === 'custom') throw refuse('tool_choice', 'custom tools', 'use function tools')
  // The API's own form.
  return { mode: choice, names: null }
}

function nameOf(tool: JsonValue): JsonValue {
  return isObject(tool) && isObject(tool.function) ? tool.function.name : undefined
}

function toTool(tool: JsonValue, place: string, traits: Traits, grammar: Grammar): JsonObject {
  if (!isObject(tool)) throw malformed(place, 'must be an object')
  // Tools of the API's own, such as web search, go as they are.
  if (tool.type !== 'function') {
    if (!isObject(tool.custom)) return tool
    throw refuse(place, 'custom tools', 'use function tools')
  }
  const { name, description, parameters, strict } = isObject(tool.function) ? tool.function : {}
  const schema = isObject(parameters) ? toInputSchema(parameters) : { type: 'object', properties: {} }
  const closed = strict === true && traits.structured && isObject(parameters) ? toOutputSchema(schema) : null
  const exact = closed !== null && grammar.takes(closed, 1) ? closed : null
  return {
    name,
    ...(typeof description === 'string' && { description }),
    input_schema: exact ?? schema,
    ...(exact !== null && { strict: true }),
    ...(isObject(tool.cache_control) && { cache_control: tool.cache_control }),
  }
}

/** Completes the schema of a tool's input: the API requires `type`, OpenAI's does not. */
export function toInputSchema(schema: JsonObject): JsonObject {
  return schema.type === undefined ? { type: 'object', ...schema } : schema
}
