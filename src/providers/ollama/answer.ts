import { sha256 } from '#lib/hash.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { fitToolCall } from '../openai_compatible/tool-calls.ts'

/** The head that all chunks of an answer share. The same answer always gets the same id. */
export function toHead(line: JsonObject, object: string): JsonObject {
  const created = Date.parse(String(line.created_at))
  const prefix = object.startsWith('chat') ? 'chatcmpl' : 'cmpl'
  return {
    id: `${prefix}-${sha256(`${line.created_at}:${line.model}`).slice(0, 24)}`,
    object,
    created: created > 0 ? Math.floor(created / 1000) : 0,
    model: line.model ?? '',
  }
}

/** Translates the tool calls of a message: arguments as text, ids where the server gives none.
 *
 * @param before How many calls the answer had before these; servers leave the index out or count anew each line. */
export function fromOllamaToolCalls(calls: JsonValue, before: number, seed: JsonValue): readonly JsonObject[] {
  const list = Array.isArray(calls) ? calls.filter(isObject) : []
  return list.map((call, at) => {
    const { name, arguments: given } = isObject(call.function) ? call.function : {}
    const text = typeof given === 'string' ? given : JSON.stringify(given ?? {})
    const whole = { index: before + at, id: call.id, type: 'function', function: { name: name ?? '', arguments: text } }
    return fitToolCall(whole, before + at, String(seed))
  })
}

/** Translates why an answer ended. Ollama also says `load` and `unload`, and says `stop` for tool calls. */
export function fromOllamaDoneReason(reason: JsonValue, hasToolCalls: boolean): string {
  if (reason === 'length') return 'length'
  return hasToolCalls ? 'tool_calls' : 'stop'
}

/** The log probabilities of a message or delta; `null` when there are none. */
export function fromOllamaLogprobs(logprobs: JsonValue): JsonObject | null {
  return Array.isArray(logprobs) && logprobs.length > 0 ? { content: logprobs, refusal: null } : null
}
