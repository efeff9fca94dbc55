import type { Endpoint } from '#core/call.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** Puts the chunks of a whole stream together to the plain answer that they are pieces of. */
export function assemble(chunks: readonly JsonObject[], endpoint: Endpoint): JsonObject {
  const choices = new Map<number, JsonObject>()
  const add = endpoint === 'chat' ? addChatPiece : addTextPiece
  let head: JsonObject = {}
  let usage: JsonValue
  for (const { choices: list, usage: count, ...rest } of chunks) {
    head = { ...rest, ...head }
    if (isObject(count)) usage = count
    for (const piece of Array.isArray(list) ? list.filter(isObject) : []) {
      const index = typeof piece.index === 'number' ? piece.index : 0
      choices.set(index, add(choices.get(index) ?? { index }, piece))
    }
  }
  const object = endpoint === 'chat' ? 'chat.completion' : 'text_completion'
  const list = [...choices].sort(([a], [b]) => a - b).map(([, choice]) => choice)
  return { ...head, object, choices: list, ...(usage !== undefined && { usage }) }
}

function addChatPiece(choice: JsonObject, { delta, ...rest }: JsonObject): JsonObject {
  const message = addDelta(isObject(choice.message) ? choice.message : EMPTY_MESSAGE, isObject(delta) ? delta : {})
  return { ...addRest(choice, rest), message }
}

function addTextPiece(choice: JsonObject, { text, ...rest }: JsonObject): JsonObject {
  return { ...addRest(choice, rest), text: addText(choice.text, text) }
}

const EMPTY_MESSAGE: JsonObject = { role: 'assistant', content: null, refusal: null }

/** What stands beside the content of a choice: log probabilities add up, of everything else the last value counts. */
function addRest(choice: JsonObject, rest: JsonObject): JsonObject {
  const sum: Record<string, JsonValue> = { ...choice }
  for (const [name, value] of Object.entries(rest)) {
    if (name === 'logprobs') sum.logprobs = addLists(sum.logprobs, value)
    else if (value !== null || sum[name] === undefined) sum[name] = value
  }
  return sum
}

function addDelta(message: JsonObject, delta: JsonObject): JsonObject {
  const sum: Record<string, JsonValue> = { ...message }
  for (const [name, value] of Object.entries(delta)) {
    if (name === 'role') continue
    if (name === 'tool_calls') {
      if (Array.isArray(value) && value.length > 0) sum.tool_calls = addToolCalls(sum.tool_calls, value)
    } else sum[name] = addValue(sum[name], value)
  }
  const said = typeof sum.content === 'string' && sum.content !== ''
  if (!said && Array.isArray(sum.tool_calls)) sum.content = null
  return sum
}

/** Texts and lists go on where they were; an object, such as audio or a function call, goes on in each of its fields. */
function addValue(before: JsonValue, value: JsonValue): JsonValue {
  if (value === null || value === undefined) return before ?? null
  if (typeof value === 'string') return addText(before, value)
  if (Array.isArray(value)) return [...(Array.isArray(before) ? before : []), ...value]
  if (!isObject(value)) return value
  const sum: Record<string, JsonValue> = isObject(before) ? { ...before } : {}
  for (const [name, part] of Object.entries(value)) sum[name] = name === 'id' ? part : addValue(sum[name], part)
  return sum
}

function addText(before: JsonValue, text: JsonValue): JsonValue {
  if (typeof text !== 'string') return before ?? null
  return typeof before === 'string' ? before + text : text
}

function addToolCalls(before: JsonValue, pieces: readonly JsonValue[]): JsonValue {
  const calls: JsonValue[] = Array.isArray(before) ? [...before] : []
  for (const piece of pieces.filter(isObject)) {
    const { index, ...rest } = piece
    const at = typeof index === 'number' ? index : calls.length
    const call = calls[at]
    calls[at] = isObject(call) ? addToolPiece(call, rest) : rest
  }
  // Servers may count from any number.
  return calls.filter(isObject)
}

function addToolPiece(call: JsonObject, piece: JsonObject): JsonObject {
  const { function: more, ...rest } = piece
  const before = isObject(call.function) ? call.function : {}
  if (!isObject(more)) return { ...call, ...rest }
  const grown = { ...before, ...more, arguments: addText(before.arguments, more.arguments) }
  return { ...call, ...rest, function: grown }
}

function addLists(before: JsonValue, more: JsonValue): JsonValue {
  if (!isObject(more)) return before ?? null
  const sum: Record<string, JsonValue> = isObject(before) ? { ...before } : {}
  for (const [name, list] of Object.entries(more)) {
    const known = sum[name]
    sum[name] = Array.isArray(list) && Array.isArray(known) ? [...known, ...list] : (list ?? known ?? null)
  }
  return sum
}
