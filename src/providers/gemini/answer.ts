import { GatewayError } from '#core/errors.ts'
import { sha256 } from '#lib/hash.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { checkToolCalls, fitToolCall } from '../openai_compatible/tool-calls.ts'
import { fromGeminiName } from './names.ts'
import { withSignature } from './signature.ts'

/** What a content, or the piece of one that a chunk brings, says in OpenAI's words. */
export interface Said {
  readonly text: string
  readonly thoughts: string
  readonly calls: readonly JsonObject[]
  /** What the model drew, in the form that OpenRouter gave it. */
  readonly images: readonly JsonObject[]
  /** What carries the signature of what was said or thought; that of a call stands with the call. */
  readonly signature: JsonObject | null
}

/** What an answer, or each chunk of it, begins with. */
export interface Head {
  readonly id: string
  readonly object: string
  readonly created: number
  readonly model: JsonValue
  /** The same as JSON, without the brace that closes it. */
  readonly text: string
}

/** Whether nothing of the answer itself was said. */
export function isSilent({ text, calls, images }: Said): boolean {
  return text === '' && calls.length === 0 && images.length === 0
}

/** Makes the head of an answer.
 *
 * @param model The name that was asked for, where the server does not say which model it was.
 * @param text What the answer came as: an id is made from it where the server gives none.
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
  const parts = isObject(content) && Array.isArray(content.parts) ? content.parts.filter(isObject) : []
  const calls: JsonObject[] = []
  const images: JsonObject[] = []
  const ids = [...before]
  let text = ''
  let thoughts = ''
  let signature: JsonObject | null = null
  for (const part of parts) {
    if (isObject(part.functionCall)) {
      checkToolCalls(ids.length + 1)
      const call = fromFunctionCall(part, part.functionCall, ids, seed)
      ids.push(String(call.id))
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

/** Why an answer ended, in OpenAI's words. Gemini says `STOP` for tool calls, and has many words for what it withholds;
 * what is none of these went wrong, and the answer is what there is of it. */
export function fromGeminiFinishReason(reason: string, hasToolCalls: boolean): string {
  if (reason === 'MAX_TOKENS') return 'length'
  if (FILTERED.test(reason)) return 'content_filter'
  return hasToolCalls ? 'tool_calls' : 'stop'
}

/** The failure that an end without any answer is: the model wrote a call that is none, or the server cannot say why.
 *
 * @returns `null` when nothing went wrong, and an empty answer is the answer. */
export function failureOf(reason: string): GatewayError | null {
  if (reason === 'STOP' || reason === 'MAX_TOKENS' || FILTERED.test(reason)) return null
  return new GatewayError('upstream_error', 'The model failed to give an answer.', { cause: `finishReason ${reason}` })
}

/** Whether the prompt was blocked. The reason is not passed on: words in the answer would make it look like one, and
 * keep another model from being asked. */
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

/** A log probability of 0, which is certainty, is left out by the server. */
function fromLogprob({ token, logProbability }: JsonObject): JsonObject {
  const text = typeof token === 'string' ? token : ''
  return { token: text, logprob: logProbability ?? 0, bytes: [...Buffer.from(text)] }
}
