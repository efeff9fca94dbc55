import type { Endpoint } from '#core/call.ts'
import { isObject, type JsonObject } from '#lib/json.ts'

/** What a plain answer is as a stream. */
export interface Chunks {
  /** Of each choice its content, then its end. */
  readonly content: readonly JsonObject[]
  /** The chunk that counts, when the answer counts. */
  readonly count: JsonObject | null
}

/** Takes a plain answer apart into the chunks of a stream. */
export function toChunks(answer: JsonObject, endpoint: Endpoint): Chunks {
  const { choices, usage, ...rest } = answer
  const head = { ...rest, object: endpoint === 'chat' ? 'chat.completion.chunk' : 'text_completion' }
  const apart = endpoint === 'chat' ? takeChatApart : takeTextApart
  const list = Array.isArray(choices) ? choices.filter(isObject) : []
  return {
    content: list.flatMap(apart).map(choice => ({ ...head, choices: [choice] })),
    count: isObject(usage) ? { ...head, choices: [], usage } : null,
  }
}

function takeChatApart({ message, finish_reason, ...rest }: JsonObject): JsonObject[] {
  const { tool_calls: calls, ...said } = isObject(message) ? message : {}
  const listed = Array.isArray(calls) ? calls.filter(isObject).map((call, index) => ({ index, ...call })) : []
  const begin = { role: 'assistant' }
  const delta = { ...said, ...begin, ...(listed.length > 0 && { tool_calls: listed }) }
  return [
    // OpenAI's library adds the log probabilities of a first chunk to themselves.
    ...(isObject(rest.logprobs) ? [{ ...rest, delta: begin, logprobs: null, finish_reason: null }] : []),
    { ...rest, delta, finish_reason: null },
    { ...rest, delta: {}, logprobs: null, finish_reason },
  ]
}

function takeTextApart({ text, finish_reason, ...rest }: JsonObject): JsonObject[] {
  return [
    { ...rest, text, finish_reason: null },
    { ...rest, text: '', logprobs: null, finish_reason },
  ]
}
