import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { stopsOf } from '../stops.ts'

/** OpenAI's sampling parameters, and the common ones beside them, by their names among Ollama's options. */
export const OPTIONS: Readonly<Record<string, string>> = {
  temperature: 'temperature',
  top_p: 'top_p',
  seed: 'seed',
  presence_penalty: 'presence_penalty',
  frequency_penalty: 'frequency_penalty',
  max_tokens: 'num_predict',
  max_completion_tokens: 'num_predict',
  top_k: 'top_k',
  min_p: 'min_p',
  repeat_penalty: 'repeat_penalty',
  num_ctx: 'num_ctx',
}

/** Builds Ollama's `options`; those that the caller gave itself win. */
export function toOllamaOptions(body: JsonObject): JsonObject {
  const options: Record<string, JsonValue> = {}
  for (const name in OPTIONS) {
    const value = body[name]
    if (value !== undefined && value !== null) options[OPTIONS[name] ?? name] = value
  }
  const stops = stopsOf(body.stop)
  // An empty list would take the place of the model's own.
  if (stops.length > 0) options.stop = stops
  return { ...options, ...(isObject(body.options) && body.options) }
}

/** `json` for any JSON, the schema itself for structured outputs. */
export function toOllamaFormat(body: JsonObject): JsonValue {
  const format = body.response_format
  if (!isObject(format)) return body.format
  if (format.type === 'json_object') return 'json'
  if (format.type === 'json_schema' && isObject(format.json_schema)) return format.json_schema.schema ?? 'json'
  return undefined
}

/** Whether, and for gpt-oss how hard, the model thinks. Other models know only yes and no. */
export function toOllamaThink(body: JsonObject, model: string): JsonValue {
  if (body.think !== undefined) return body.think
  const effort = body.reasoning_effort
  if (typeof effort !== 'string') return undefined
  if (effort === 'none') return false
  if (!/gpt-?oss/i.test(model)) return true
  if (effort === 'low' || effort === 'medium') return effort
  return effort === 'minimal' ? 'low' : 'high'
}

/** The tools that `tool_choice` allows. Ollama has no such parameter, so the other tools are left out. */
export function toOllamaTools(body: JsonObject): JsonValue {
  const { tools, tool_choice: choice } = body
  if (!Array.isArray(tools) || tools.length === 0 || choice === 'none') return undefined
  if (!isObject(choice)) return tools
  const admitted = isObject(choice.allowed_tools) ? choice.allowed_tools.tools : [choice]
  const names = new Set(Array.isArray(admitted) ? admitted.map(nameOf) : [])
  return tools.filter(tool => names.has(nameOf(tool)))
}

/** Whether the caller requires a tool call, which Ollama cannot express. */
export function isForced({ tool_choice: choice }: JsonObject): boolean {
  if (!isObject(choice)) return choice === 'required'
  return isObject(choice.allowed_tools) ? choice.allowed_tools.mode === 'required' : true
}

function nameOf(tool: JsonValue): JsonValue {
  return isObject(tool) && isObject(tool.function) ? tool.function.name : undefined
}
