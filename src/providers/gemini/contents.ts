import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { isMadeToolCallId, parseWithin, toArguments } from '../openai_compatible/tool-calls.ts'
import { contentOf, partsOf, refuse, refuseUntakable } from '../unsupported.ts'
import { toGeminiPart } from './media.ts'
import { toGeminiName } from './names.ts'
import { signatureOf } from './signature.ts'

/** Stands in for a signature where a call was made by another model, or by a client that lost it: without one, Gemini
 * refuses the conversation from its third generation on. From Google's guide on thought signatures. */
const NO_SIGNATURE = 'skip_thought_signature_validator'

type Content = JsonObject & { readonly role: 'user' | 'model'; readonly parts: JsonObject[] }

interface Conversation {
  readonly contents: readonly Content[]
  readonly systemInstruction?: JsonObject
}

interface Options {
  /** Whether calls have ids and signatures, as they do from the third generation on. Where they have none, Google's
   * cloud refuses a request with ids. */
  readonly marksCalls: boolean
  readonly baseUrl: string
}

/** An earlier tool call of the conversation. */
interface Called {
  readonly name: JsonValue
  /** Its place among all calls. */
  readonly at: number
}

/** Translates the messages of a chat: instructions apart, roles as Gemini names them, calls and their answers as parts.
 *
 * The answers to parallel calls stand in one content and in the order of the calls, because Gemini counts them, and
 * where it gave no ids their order alone tells calls of one function apart. */
export function toGeminiContents(messages: JsonValue, options: Options): Conversation {
  const list = Array.isArray(messages) ? messages.filter(isObject) : []
  const called = new Map<JsonValue, Called>()
  const instructions: JsonObject[] = []
  const contents: Content[] = []
  const runs: Run[] = []
  let run: Run | null = null
  let calls = 0
  for (const [at, message] of list.entries()) {
    const place = `messages.${at}`
    if (message.role === 'tool') {
      if (run === null) {
        run = { answers: [], parts: [] }
        runs.push(run)
        contents.push({ role: 'user', parts: run.parts })
      }
      run.answers.push(toAnswer(message, called, place, options))
      continue
    }
    const parts = toParts(message, place, options)
    if (message.role === 'system' || message.role === 'developer') {
      instructions.push(...parts)
      continue
    }
    run = null
    for (const call of callsOf(message))
      if (isObject(call.function)) called.set(call.id, { name: call.function.name, at: calls++ })
    const last = contents.at(-1)
    // Calls may only come after a turn of the user, so several messages of the model become one turn.
    if (message.role === 'assistant' && last?.role === 'model') last.parts.push(...parts)
    else if (parts.length > 0) contents.push({ role: message.role === 'assistant' ? 'model' : 'user', parts })
  }
  for (const { answers, parts } of runs)
    for (const { part } of answers.toSorted((left, right) => left.at - right.at)) parts.push(part)
  // Gemini requires a content: a conversation of instructions alone becomes a turn of the user.
  if (contents.length === 0) return { contents: [{ role: 'user', parts: instructions }] }
  return instructions.length > 0 ? { contents, systemInstruction: { parts: instructions } } : { contents }
}

function toParts(message: JsonObject, place: string, { marksCalls, baseUrl }: Options): JsonObject[] {
  refuseUntakable(message, place, true)
  const parts = partsOf(contentOf(message), `${place}.content`)
    .map((part, at) => toGeminiPart(part, `${place}.content.${at}`, baseUrl))
    .filter(({ text }) => text !== '')
  const signature = message.role === 'assistant' ? signatureOf(message) : undefined
  if (signature !== undefined) parts.push({ ...(parts.pop() ?? { text: '' }), thoughtSignature: signature })
  const images = Array.isArray(message.images) ? message.images.filter(isObject) : []
  for (const [at, image] of images.entries()) {
    parts.push({ ...toGeminiPart(image, `${place}.images.${at}`, baseUrl), thoughtSignature: signatureOf(image) })
  }
  const calls = callsOf(message).map((call, at) => toCall(call, `${place}.tool_calls.${at}`, marksCalls))
  const [first, ...others] = calls
  if (first === undefined) return parts
  const signed =
    marksCalls && first.thoughtSignature === undefined ? { ...first, thoughtSignature: NO_SIGNATURE } : first
  return [...parts, signed, ...others]
}

function callsOf(message: JsonObject): readonly JsonObject[] {
  return Array.isArray(message.tool_calls) ? message.tool_calls.filter(isObject) : []
}

function toCall(call: JsonObject, place: string, marksCalls: boolean): JsonObject {
  if (!isObject(call.function)) throw refuse(place, 'calls of custom tools', 'use function tools')
  const { name, arguments: given } = call.function
  const id = marksCalls ? ownId(call.id) : undefined
  return {
    functionCall: { id, name: toGeminiName(name), args: toArguments(given) },
    thoughtSignature: signatureOf(call),
  }
}

interface Answer {
  readonly part: JsonObject
  readonly at: number
}

/** Answers with nothing between them. They are put in order once all are there: after each one, ten thousand would take
 * seconds. */
interface Run {
  readonly answers: Answer[]
  /** The parts of its content. */
  readonly parts: JsonObject[]
}

function toAnswer(
  message: JsonObject,
  called: ReadonlyMap<JsonValue, Called>,
  place: string,
  { marksCalls }: Options,
): Answer {
  const { tool_call_id: given, content } = message
  const { name = message.name, at = Number.POSITIVE_INFINITY } = called.get(given) ?? {}
  if (typeof name !== 'string') {
    const param = `${place}.tool_call_id`
    throw new GatewayError('invalid_request', `${param}: answers no tool call before it.`, { param })
  }
  const id = marksCalls ? ownId(given) : undefined
  const response = toResponse(content, `${place}.content`)
  return { part: { functionResponse: { id, name: toGeminiName(name), response } }, at }
}

/** The id of a call, unless the gateway made it. */
function ownId(id: JsonValue): JsonValue {
  return isMadeToolCallId(id) ? undefined : id
}

/** Makes the answer to a call an object, as Gemini requires: it reads other values from `output`. */
function toResponse(content: JsonValue, place: string): JsonObject {
  const text = textOf(content, place)
  const value = parseWithin(text)
  return isObject(value) ? value : { output: text }
}

function textOf(content: JsonValue, place: string): string {
  const texts = partsOf(content, place).map((part, at) => {
    const text = isObject(part) ? part.text : part
    if (typeof text !== 'string') throw refuse(`${place}.${at}`, 'results of tools other than text', 'send text')
    return text
  })
  return texts.join('\n')
}
