import type { Chunk, DataFrame, Frame } from '#core/frame.ts'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import {
  failureOf,
  fromGeminiContent,
  fromGeminiFinishReason,
  fromGeminiLogprobs,
  type Said,
  type toHead,
} from './answer.ts'

export type Head = ReturnType<typeof toHead>

/** What a stream reducer remembers of one candidate. */
export interface CandidateState {
  /** The ids of its tool calls so far. */
  readonly ids: readonly string[]
  readonly spoken: boolean
  /** Why it ended, as the server said last; `null` while it goes on. */
  readonly reason: string | null
  /** Whether the caller has been told that it ended. */
  readonly finished: boolean
}

const NEW: CandidateState = { ids: [], spoken: false, reason: null, finished: false }

/** Reads what one event brings of a candidate.
 *
 * @param before What is known of it; nothing when it begins. */
export function readCandidate(
  candidate: JsonObject,
  index: number,
  before: CandidateState | undefined,
  head: Head,
): readonly [CandidateState, readonly DataFrame[]] {
  const { ids: earlier, spoken, reason: known } = before ?? NEW
  const said = fromGeminiContent(candidate.content, earlier, `${head.id}:${index}`)
  const delta = toDelta(said)
  const { finishReason: reason } = candidate
  const ids = said.calls.length > 0 ? [...earlier, ...said.calls.map(call => String(call.id))] : earlier
  const read = {
    ids,
    spoken: spoken || said.text !== '' || ids.length > 0,
    reason: typeof reason === 'string' ? reason : known,
    finished: false,
  }
  const frames = before === undefined ? [toStart(head, index)] : []
  if (delta === null) return [read, frames]
  const kind = said.text === '' && said.thoughts === '' && said.calls.length === 0 ? 'start' : 'delta'
  const logprobs = fromGeminiLogprobs(candidate)
  return [read, [...frames, toFrame(kind, head, { index, delta, logprobs, finish_reason: null })]]
}

/** `null` for an event that says nothing, as the last one often does. */
function toDelta({ text, thoughts, calls, signature }: Said): JsonObject | null {
  const delta: JsonObject = {
    ...(thoughts !== '' && { reasoning_content: thoughts }),
    ...(text !== '' && { content: text }),
    ...(calls.length > 0 && { tool_calls: calls }),
    ...signature,
  }
  return Object.keys(delta).length === 0 ? null : delta
}

function toStart(head: Head, index: number): DataFrame {
  return toFrame('start', head, { index, delta: { role: 'assistant', content: '' }, finish_reason: null })
}

/** The end of a candidate.
 *
 * @param isOnly Whether nothing else is to come, so that an end without an answer is a failure. */
export function toFinish(head: Head, index: number, { ids, reason, spoken }: CandidateState, isOnly: boolean): Frame {
  const failure = isOnly && !spoken && reason !== null ? failureOf(reason) : null
  if (failure !== null) return { kind: 'error', error: failure }
  return toFrame('finish', head, {
    index,
    delta: {},
    finish_reason: fromGeminiFinishReason(reason ?? '', ids.length > 0),
  })
}

/** The answer to a prompt that was blocked. */
export function toBlocked(head: Head, refusal: JsonValue): readonly DataFrame[] {
  const start = toStart(head, 0)
  const finish = toFrame('finish', head, { index: 0, delta: {}, finish_reason: 'content_filter' })
  if (typeof refusal !== 'string') return [start, finish]
  return [start, toFrame('delta', head, { index: 0, delta: { refusal }, finish_reason: null }), finish]
}

function toFrame(kind: DataFrame['kind'], head: Head, choice: JsonObject): DataFrame {
  const chunk = { ...head, choices: [choice] }
  return { kind, text: writeSse(JSON.stringify(chunk)), chunk: chunk as Chunk, usage: null }
}
