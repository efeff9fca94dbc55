import { GatewayError } from '#core/errors.ts'
import { sha256 } from '#lib/hash.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { checkToolCalls, fitToolCall } from '../openai_compatible/tool-calls.ts'
import { fromGeminiName } from './names.ts'
import { withSignature } from './signature.ts'

/** A content, or the piece of one in a chunk, translated into OpenAI's format. */
export interface Said {
  readonly text: string
  readonly thoughts: string
  readonly calls: readonly JsonObject[]
  /** The pictures that the model drew, in OpenRouter's form. */
  readonly images: readonly JsonObject[]
  /** The members that carry the signature of a text or a thought; the signature of a call stands with the call. */
  readonly signature: JsonObject | null
}

/** The first members of an answer, and of each of its chunks. */
export interface Head {
  readonly id: string
  readonly object: string
  readonly created: number
  readonly model: JsonValue
  /** The same as JSON, without the brace that closes it. */
  readonly text: string
}

/** Whether it has no content of the answer itself. */
export function isSilent({ text, calls, images }: Said): boolean {
  return text === '' && calls.length === 0 && images.length === 0
}

/** Makes the head of an answer.
 *
 * @param model The name that was asked for, where the server does not say which model it was.
 * @param text The answer as it arrived: the id is made from it where the server gives none.
 * @param nowEpochMs When the answer began, where the server does not say. */
export function toHead(answer: JsonObject, object: string, model: JsonValue, text: string, nowEpochMs: number): Head {
  const { responseId: id, createTime, modelVersion } = answer
  const created = Date.parse(String(createTime))
  const head = {
    id: typeof id === 'string' && id !== '' ? id : `chatcmpl-${sha256(text).slice(0, 24)}`,
    object,
    created: Math.floor((created > 0 ? created : nowEpochMs) / 1000),
    model: modelVersion ?? model ?? '',
  }
  return { ...head, text: JSON.stringify(head).slice(0, -1) }
}

/** Reads the parts of a content.
 *
 * @param before The ids of the calls that the answer had before these.
 * @param seed What ids are made from where the server gives none, or the same twice.
 * @throws TypeError for more calls than any answer has. */
export function fromGeminiContent(content: JsonValue, before: readonly string[], seed: string): Said {
  const parts = isObject(content) && Array.isArray(content.parts) ? content.parts : []
  const calls: JsonObject[] = []
  const images: JsonObject[] = []
  let ids = before
  let text = ''
  let thoughts = ''
  let signature: JsonObject | null = null
  for (const part of parts) {
    if (!isObject(part)) continue
    if (isObject(part.functionCall)) {
      checkToolCalls(ids.length + 1)
      const call = fromFunctionCall(part, part.functionCall, ids, seed)
      ids = [...ids, String(call.id)]
      calls.push(call)
      continue
    }
    if (isObject(part.inlineData) && part.thought !== true) {
      images.push(fromInlineData(part.inlineData, part.thoughtSignature))
      continue
    }
    if (part.thoughtSignature) signature = withSignature(part.thoughtSignature)
    if (typeof part.text !== 'string') continue
    if (part.thought === true) thoughts += part.text
    else text += part.text
  }
  return { text, thoughts, calls, images, signature }
}

/** Each picture has a signature of its own, without which Gemini does not go on from it. */
function fromInlineData({ mimeType, data }: JsonObject, signature: JsonValue): JsonObject {
  return { type: 'image_url', image_url: { url: `data:${mimeType};base64,${data}` }, ...withSignature(signature) }
}

function fromFunctionCall(part: JsonObject, given: JsonObject, ids: readonly string[], seed: string): JsonObject {
  const { id, name, args } = given
  const index = ids.length
  const call = {
    index,
    id: typeof id === 'string' && !ids.includes(id) ? id : undefined,
    type: 'function',
    function: { name: fromGeminiName(name) ?? '', arguments: JSON.stringify(args ?? {}) },
    ...withSignature(part.thoughtSignature),
  }
  return fitToolCall(call, index, seed)
}

const FILTERED = /SAFETY|RECITATION|BLOCKLIST|PROHIBITED_CONTENT|SPII|MODEL_ARMOR|ESCALATION/

/** Translates why an answer ended. Gemini says `STOP` for tool calls, and has many reasons for withholding an answer.
 * Any other reason is a failure of the model; the answer then ends with what was received. */
export function fromGeminiFinishReason(reason: string, hasToolCalls: boolean): string {
  if (reason === 'MAX_TOKENS') return 'length'
  if (FILTERED.test(reason)) return 'content_filter'
  return hasToolCalls ? 'tool_calls' : 'stop'
}

/** The error for an answer that ended without content: the model wrote an invalid call, or the server gives no reason.
 *
 * @returns `null` when nothing failed, and the answer is truly empty. */
export function failureOf(reason: string): GatewayError | null {
  if (reason === 'STOP' || reason === 'MAX_TOKENS' || FILTERED.test(reason)) return null
  return new GatewayError('upstream_error', 'The model failed to give an answer.', { cause: `finishReason ${reason}` })
}

/** Whether the prompt was blocked. The reason is not passed on: as text it would look like an answer, and no other
 * model would be asked. */
export function isBlocked({ promptFeedback: feedback }: JsonObject): boolean {
  return isObject(feedback) && typeof feedback.blockReason === 'string'
}

/** The log probabilities of a candidate; `null` when there are none. */
export function fromGeminiLogprobs({ logprobsResult: result }: JsonObject): JsonObject | null {
  if (!isObject(result) || !Array.isArray(result.chosenCandidates)) return null
  const tops = Array.isArray(result.topCandidates) ? result.topCandidates : []
  const content = result.chosenCandidates.filter(isObject).map((chosen, at) => {
    const top: JsonValue = tops[at]
    const candidates = isObject(top) && Array.isArray(top.candidates) ? top.candidates.filter(isObject) : []
    return { ...fromLogprob(chosen), top_logprobs: candidates.map(fromLogprob) }
  })
  return { content, refusal: null }
}

/** Reads a log probability; the server leaves out 0, which means certainty. */
function fromLogprob({ token, logProbability }: JsonObject): JsonObject {
  const text = typeof token === 'string' ? token : ''
  return { token: text, logprob: logProbability ?? 0, bytes: [...Buffer.from(text)] }
}
