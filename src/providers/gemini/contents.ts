import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject, type JsonValue, parseJson } from '#lib/json.ts'
import { toArguments } from '../ollama/messages.ts'
import { refuse } from '../ollama/unsupported.ts'
import { toGeminiPart } from './media.ts'
import { signatureOf } from './signature.ts'

/** Stands in for a signature where a call was made by another model, or by a client that lost it: without one, Gemini
 * refuses the conversation from its third generation on. From Google's guide on thought signatures. */
const NO_SIGNATURE = 'skip_thought_signature_validator'

interface Conversation {
  readonly contents: readonly JsonObject[]
  readonly systemInstruction?: JsonObject
}

interface Options {
  /** Whether the first call of each turn must have a signature. */
  readonly signsCalls: boolean
  readonly baseUrl: string
}

/** Translates the messages of a chat: instructions apart, roles as Gemini names them, calls and their answers as parts.
 *
 * The answers to parallel calls stand in one content, because Gemini counts them. */
export function toGeminiContents(messages: JsonValue, options: Options): Conversation {
  const list = Array.isArray(messages) ? messages.filter(isObject) : []
  const names = new Map<JsonValue, JsonValue>()
  const instructions: JsonObject[] = []
  const contents: JsonObject[] = []
  let answers: JsonObject[] | null = null
  for (const [at, message] of list.entries()) {
    const place = `messages.${at}`
    if (message.role === 'tool') {
      const answer = toAnswer(message, names, place)
      if (answers === null) {
        answers = [answer]
        contents.push({ role: 'user', parts: answers })
      } else answers.push(answer)
      continue
    }
    const parts = toParts(message, place, options)
    if (message.role === 'system' || message.role === 'developer') {
      instructions.push(...parts)
      continue
    }
    answers = null
    for (const call of callsOf(message)) if (isObject(call.function)) names.set(call.id, call.function.name)
    if (parts.length > 0) contents.push({ role: message.role === 'assistant' ? 'model' : 'user', parts })
  }
  // Gemini wants a content: instructions alone are then what the user says.
  if (contents.length === 0) return { contents: [{ role: 'user', parts: instructions }] }
  return instructions.length > 0 ? { contents, systemInstruction: { parts: instructions } } : { contents }
}

function toParts(message: JsonObject, place: string, { signsCalls, baseUrl }: Options): JsonObject[] {
  if (message.role === 'function' || isObject(message.function_call))
    throw refuse(place, 'calls of functions in the older form', 'use tools')
  const { content } = message
  const given =
    typeof content === 'string' ? (content === '' && message.role === 'assistant' ? [] : [content]) : content
  const parts = (Array.isArray(given) ? given : []).map((part, at) =>
    toGeminiPart(part, `${place}.content.${at}`, baseUrl),
  )
  const signature = message.role === 'assistant' ? signatureOf(message) : undefined
  if (signature !== undefined) parts.push({ ...(parts.pop() ?? { text: '' }), thoughtSignature: signature })
  const calls = callsOf(message).map((call, at) => toCall(call, `${place}.tool_calls.${at}`))
  const [first, ...others] = calls
  if (first === undefined) return parts
  const signed =
    signsCalls && first.thoughtSignature === undefined ? { ...first, thoughtSignature: NO_SIGNATURE } : first
  return [...parts, signed, ...others]
}

function callsOf(message: JsonObject): readonly JsonObject[] {
  return Array.isArray(message.tool_calls) ? message.tool_calls.filter(isObject) : []
}

function toCall(call: JsonObject, place: string): JsonObject {
  if (!isObject(call.function)) throw refuse(place, 'calls of custom tools', 'use function tools')
  const { name, arguments: given } = call.function
  return { functionCall: { id: call.id, name, args: toArguments(given) }, thoughtSignature: signatureOf(call) }
}

function toAnswer(message: JsonObject, names: ReadonlyMap<JsonValue, JsonValue>, place: string): JsonObject {
  const { tool_call_id: id, content } = message
  const name = names.get(id) ?? message.name
  if (typeof name !== 'string') {
    const param = `${place}.tool_call_id`
    throw new GatewayError('invalid_request', `${param}: answers no tool call before it.`, { param })
  }
  return { functionResponse: { id, name, response: toResponse(content, `${place}.content`) } }
}

/** Gemini takes objects only, and reads `output` where an answer is none. */
function toResponse(content: JsonValue, place: string): JsonObject {
  const text = typeof content === 'string' ? content : textOf(content, place)
  const value = parseJson(text)
  return isObject(value) ? value : { output: text }
}

function textOf(content: JsonValue, place: string): string {
  const parts = Array.isArray(content) ? content : []
  const texts = parts.map((part, at) => {
    const text = isObject(part) ? part.text : part
    if (typeof text !== 'string') throw refuse(`${place}.${at}`, 'results of tools other than text', 'send text')
    return text
  })
  return texts.join('\n')
}
