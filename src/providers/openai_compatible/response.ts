import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Chunk, DataFrame } from '#core/frame.ts'
import { isObject, type JsonObject, type JsonValue, parseJson } from '#lib/json.ts'
import { invalidAnswer } from '../upstream-error.ts'
import { fromEmbeddings } from './embedding.ts'
import { errorIn, fromErrorBody } from './error.ts'
import { fitToolCall } from './tool-calls.ts'
import { fromUsage } from './usage.ts'

/** Reads a whole 2xx answer; its bytes go on unchanged unless a strict client would stumble over them. */
export function fromResponse(call: Call, body: string): DataFrame | GatewayError {
  const value = parseJson(body)
  if (!isObject(value)) return invalidAnswer(`no JSON object: ${body.slice(0, 200)}`)
  const error = errorIn(value)
  if (error !== null) return fromErrorBody(error)
  if (call.endpoint === 'embeddings') return fromEmbeddings(call, body, value)
  const choices = value.choices
  if (!Array.isArray(choices) || choices.length === 0) return invalidAnswer('an answer without choices')
  const seed = `${value.id}${value.created}`
  const fit = call.endpoint === 'chat' ? fitChatChoice : fitTextChoice
  const fitted = choices.map((choice, index) => fit(isObject(choice) ? choice : {}, index, seed))
  const changed = fitted.some((choice, index) => choice !== choices[index])
  const answer = changed ? { ...value, choices: fitted } : value
  return {
    kind: 'finish',
    text: changed ? JSON.stringify(answer) : body,
    chunk: answer as Chunk,
    usage: fromUsage(value.usage),
  }
}

function fitChatChoice(choice: JsonObject, index: number, seed: string): JsonObject {
  const message = fitMessage(choice.message, seed)
  if (message === choice.message && typeof choice.index === 'number') return choice
  return { ...choice, index: choice.index ?? index, message }
}

function fitTextChoice(choice: JsonObject, index: number): JsonObject {
  if (typeof choice.text === 'string' && typeof choice.index === 'number') return choice
  return { ...choice, index: choice.index ?? index, text: choice.text ?? '' }
}

/** Azure leaves the message out where its filter stopped the answer. */
function fitMessage(message: JsonValue, seed: string): JsonObject {
  if (!isObject(message)) return { role: 'assistant', content: null, refusal: null }
  const calls = message.tool_calls
  const fitted = Array.isArray(calls)
    ? calls.map((call, index) => (isObject(call) ? fitToolCall(call, index, seed) : call))
    : []
  const callsChanged = fitted.some((call, index) => Array.isArray(calls) && call !== calls[index])
  if (!callsChanged && message.role) return message
  return { ...message, role: message.role || 'assistant', ...(callsChanged && { tool_calls: fitted }) }
}
