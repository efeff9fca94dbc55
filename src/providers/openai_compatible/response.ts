import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Chunk, DataFrame } from '#core/frame.ts'
import { isObject, type JsonObject, type JsonValue, parseJson } from '#lib/json.ts'
import { invalidAnswer, unreadableAnswer } from '../upstream-error.ts'
import { fromEmbeddings } from './embedding.ts'
import { errorIn, fromErrorBody } from './error.ts'
import { fitFields } from './fields.ts'
import { fitReason } from './finish.ts'
import { fitHead, seedOf } from './head.ts'
import { fitToolCalls } from './tool-calls.ts'
import { fromUsage } from './usage.ts'

/** Reads a whole 2xx answer; its bytes go on unchanged unless a strict client would stumble over them. */
export function fromResponse(call: Call, body: string): DataFrame | GatewayError {
  const value = parseJson(body)
  if (!isObject(value)) return unreadableAnswer(body)
  const error = errorIn(value)
  if (error !== null) return fromErrorBody(error)
  if (call.endpoint === 'embeddings') return fromEmbeddings(call, body, value)
  const choices = value.choices
  if (!Array.isArray(choices) || choices.length === 0) return invalidAnswer('an answer without choices')
  const chat = call.endpoint === 'chat'
  const fit = chat ? fitChatChoice : fitTextChoice
  const fitted = choices.map((choice, index) => fit(isObject(choice) ? choice : {}, index, seedOf(value)))
  const head = fitHead(value, chat ? 'chat.completion' : 'text_completion')
  const changed = head !== value || fitted.some((choice, index) => choice !== choices[index])
  const answer = changed ? { ...head, choices: fitted } : value
  return {
    kind: 'finish',
    text: changed ? JSON.stringify(answer) : body,
    chunk: answer as Chunk,
    usage: fromUsage(value.usage, value.service_tier),
  }
}

function fitChatChoice(choice: JsonObject, index: number, seed: string): JsonObject {
  const message = fitMessage(choice.message, `${seed}:${index}`)
  const hasToolCalls = Array.isArray(message.tool_calls) && message.tool_calls.length > 0
  const reason = fitReason(choice.finish_reason, hasToolCalls) ?? (hasToolCalls ? 'tool_calls' : 'stop')
  if (message === choice.message && reason === choice.finish_reason && typeof choice.index === 'number') return choice
  return { ...choice, index: choice.index ?? index, message, finish_reason: reason }
}

function fitTextChoice(choice: JsonObject, index: number): JsonObject {
  const reason = fitReason(choice.finish_reason, false)
  const isWhole = typeof choice.text === 'string' && typeof choice.index === 'number'
  if (isWhole && reason === (choice.finish_reason ?? null)) return choice
  return { ...choice, index: choice.index ?? index, text: choice.text ?? '', finish_reason: reason }
}

/** Azure leaves the message out where its filter stopped the answer; Groq and Gemini leave the content out of tool
 * calls. */
function fitMessage(message: JsonValue, seed: string): JsonObject {
  if (!isObject(message)) return { role: 'assistant', content: null, refusal: null }
  const fields = fitFields(message)
  const isWhole = fields.role === 'assistant' && fields.content !== undefined
  const whole = isWhole ? fields : { ...fields, role: 'assistant', content: fields.content ?? null }
  const calls = whole.tool_calls
  const fitted = Array.isArray(calls) ? fitToolCalls(calls, seed) : calls
  return fitted === calls ? whole : { ...whole, tool_calls: fitted }
}
