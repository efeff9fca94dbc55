import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Chunk, DataFrame } from '#core/frame.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import { inputsOf, toEmbeddingList } from '../openai_compatible/embedding.ts'
import { invalidAnswer, unreadableAnswer } from '../upstream-error.ts'
import { fromOllamaDoneReason, fromOllamaLogprobs, fromOllamaToolCalls, toHead } from './answer.ts'
import { fromOllamaErrorLine } from './error.ts'
import { fromOllamaUsage } from './usage.ts'

/** Reads a whole 2xx answer. */
export function fromOllamaResponse(call: Call, body: string): DataFrame | GatewayError {
  const answer = parseJson(body)
  if (!isObject(answer)) return unreadableAnswer(body)
  if (answer.error) return fromOllamaErrorLine(answer)
  if (call.endpoint === 'embeddings') return fromOllamaEmbeddings(call, answer)
  const translated = call.endpoint === 'chat' ? fromOllamaChat(answer) : fromOllamaGenerate(answer)
  if (translated === null) return invalidAnswer('an answer without a message')
  const count = fromOllamaUsage(answer)
  const chunk = count === null ? translated : { ...translated, usage: count.raw }
  return { kind: 'finish', text: JSON.stringify(chunk), chunk: chunk as Chunk, usage: count?.usage ?? null }
}

function fromOllamaChat(answer: JsonObject): JsonObject | null {
  const { message: given } = answer
  if (!isObject(given)) return null
  const head = toHead(answer, 'chat.completion')
  const calls = fromOllamaToolCalls(given.tool_calls, 0, head.id)
  const message = {
    role: 'assistant',
    content: given.content === '' && calls.length > 0 ? null : (given.content ?? ''),
    refusal: null,
    ...(given.thinking ? { reasoning_content: given.thinking } : {}),
    // Tool calls have an index in streams only.
    ...(calls.length > 0 && { tool_calls: calls.map(({ index: _, ...call }) => call) }),
  }
  const finish_reason = fromOllamaDoneReason(answer.done_reason, calls.length > 0)
  return { ...head, choices: [{ index: 0, message, logprobs: fromOllamaLogprobs(answer.logprobs), finish_reason }] }
}

function fromOllamaGenerate(answer: JsonObject): JsonObject | null {
  if (typeof answer.response !== 'string') return null
  const finish_reason = fromOllamaDoneReason(answer.done_reason, false)
  const choice = {
    index: 0,
    text: answer.response,
    ...(answer.thinking ? { reasoning_content: answer.thinking } : {}),
    logprobs: null,
    finish_reason,
  }
  return { ...toHead(answer, 'text_completion'), choices: [choice] }
}

function fromOllamaEmbeddings(call: Call, answer: JsonObject): DataFrame | GatewayError {
  const vectors = answer.embeddings
  if (!Array.isArray(vectors) || vectors.length !== inputsOf(call.body.input) || !vectors.every(Array.isArray)) {
    return invalidAnswer('an answer without the embeddings')
  }
  const count = fromOllamaUsage(answer)
  const about = { model: answer.model ?? '', tokens: count?.usage.input ?? 0 }
  const text = toEmbeddingList(call, vectors, about)
  return { kind: 'finish', text, chunk: {}, usage: count?.usage ?? null }
}
