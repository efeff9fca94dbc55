import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import type { Chunk, DataFrame } from '#core/frame.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import { invalidAnswer, unreadableAnswer } from '../upstream-error.ts'
import {
  failureOf,
  fromGeminiContent,
  fromGeminiFinishReason,
  fromGeminiLogprobs,
  isBlocked,
  isSilent,
  toHead,
} from './answer.ts'
import { fromGeminiEmbeddings } from './embedding.ts'
import { fromGeminiErrorBody, geminiErrorIn } from './error.ts'
import { fromGeminiUsage, toGeminiCount } from './usage.ts'

/** Reads a whole 2xx answer.
 *
 * @param nowEpochMs The time of the answer, which Gemini does not tell.
 * @param tier The tier of service, where its head tells it. */
export function fromGeminiResponse(
  call: Call,
  body: string,
  nowEpochMs: number = Date.now(),
  tier: string | null = null,
): DataFrame | GatewayError {
  const answer = parseJson(body)
  const error = geminiErrorIn(answer)
  if (error !== null) return fromGeminiErrorBody(error)
  if (!isObject(answer)) return unreadableAnswer(body)
  if (call.endpoint === 'embeddings') return fromGeminiEmbeddings(call, answer)
  const { text: _, ...head } = toHead(answer, 'chat.completion', call.body.model, body, nowEpochMs)
  const choices = toChoices(answer, head.id)
  if (choices instanceof GatewayError) return choices
  const usage = fromGeminiUsage(answer.usageMetadata, tier)
  const chunk = { ...head, choices, ...(usage !== null && { usage: toGeminiCount(usage).raw }) }
  return { kind: 'finish', text: JSON.stringify(chunk), chunk: chunk as Chunk, usage }
}

function toChoices(answer: JsonObject, seed: string): readonly JsonObject[] | GatewayError {
  const candidates = Array.isArray(answer.candidates) ? answer.candidates.filter(isObject) : []
  const [only, ...others] = candidates.map((candidate, at) => toChoice(candidate, at, seed))
  if (only !== undefined) return others.length === 0 ? (only.failure ?? [only.choice]) : choicesOf([only, ...others])
  if (!isBlocked(answer)) return invalidAnswer('an answer without candidates')
  const message = { role: 'assistant', content: null, refusal: null }
  return [{ index: 0, message, logprobs: null, finish_reason: 'content_filter' }]
}

interface Read {
  readonly choice: JsonObject
  /** The error that left it empty; `null` when nothing failed. */
  readonly failure: GatewayError | null
}

function choicesOf(all: readonly Read[]): readonly JsonObject[] {
  return all.map(({ choice }) => choice)
}

function toChoice(candidate: JsonObject, at: number, seed: string): Read {
  const index = typeof candidate.index === 'number' ? candidate.index : at
  const said = fromGeminiContent(candidate.content, [], `${seed}:${index}`)
  const { text, thoughts, calls, images, signature } = said
  const reason = String(candidate.finishReason)
  const finish_reason = fromGeminiFinishReason(reason, calls.length > 0)
  const isEmpty = text === '' && (calls.length > 0 || finish_reason === 'content_filter')
  const message = {
    role: 'assistant',
    content: isEmpty ? null : text,
    refusal: null,
    ...(thoughts !== '' && { reasoning_content: thoughts }),
    // Tool calls have an index in streams only.
    ...(calls.length > 0 && { tool_calls: calls.map(({ index: _, ...call }) => call) }),
    ...(images.length > 0 && { images }),
    ...signature,
  }
  const choice = { index, message, logprobs: fromGeminiLogprobs(candidate), finish_reason }
  return { choice, failure: isSilent(said) ? failureOf(reason) : null }
}
