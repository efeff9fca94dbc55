import type { Chunk, DataFrame, Frame } from '#core/frame.ts'
import type { Usage } from '#core/usage.ts'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import {
  failureOf,
  fromGeminiContent,
  fromGeminiFinishReason,
  fromGeminiLogprobs,
  type Head,
  isSilent,
  type Said,
} from './answer.ts'

/** What a stream reducer remembers of one candidate. */
export interface CandidateState {
  /** The ids of its tool calls so far. */
  readonly ids: readonly string[]
  readonly spoken: boolean
  /** The latest reason for its end; `null` while it goes on. */
  readonly reason: string | null
  /** Whether its end was sent to the caller. */
  readonly finished: boolean
}

/** The reason for the end of candidates to a prompt that was blocked. */
const BLOCKED = 'SAFETY'
const NEW: CandidateState = { ids: [], spoken: false, reason: null, finished: false }

/** Reads what one event brings of a candidate.
 *
 * @param before The state of the candidate before; `undefined` when it begins.
 * @param soFar The count of everything so far; `null` if the event has none. An answer that is cut has no other.
 * @returns The state now (the same object if nothing has changed), and the choice for the caller. */
export function readCandidate(
  candidate: JsonObject,
  index: number,
  before: CandidateState | undefined,
  head: Head,
  soFar: Usage | null,
): readonly [CandidateState, readonly DataFrame[]] {
  const known = before ?? NEW
  const said = fromGeminiContent(candidate.content, known.ids, `${head.id}:${index}`)
  const now = toState(known, said, candidate.finishReason)
  const delta = toDelta(said)
  const frames = before === undefined ? [toStart(head, index, delta === null ? soFar : null)] : []
  if (delta !== null) {
    const kind = isSilent(said) && said.thoughts === '' ? 'start' : 'delta'
    const logprobs = fromGeminiLogprobs(candidate)
    frames.push(toFrame(kind, head, { index, delta, logprobs, finish_reason: null }, soFar ?? undefined))
  }
  return [now, frames]
}

function toState(known: CandidateState, said: Said, reason: JsonValue): CandidateState {
  const { calls } = said
  const spoken = known.spoken || !isSilent(said)
  if (spoken === known.spoken && calls.length === 0 && typeof reason !== 'string') return known
  return {
    ids: [...known.ids, ...calls.map(call => String(call.id))],
    spoken,
    reason: typeof reason === 'string' ? reason : known.reason,
    finished: false,
  }
}

/** Makes the delta of an event; `null` for an event without content, as the last one often is. */
function toDelta({ text, thoughts, calls, images, signature }: Said): JsonObject | null {
  const delta: Record<string, JsonValue> = {}
  if (thoughts !== '') delta.reasoning_content = thoughts
  if (text !== '') delta.content = text
  if (calls.length > 0) delta.tool_calls = calls
  if (images.length > 0) delta.images = images
  if (signature !== null) Object.assign(delta, signature)
  return Object.keys(delta).length > 0 ? delta : null
}

function toStart(head: Head, index: number, soFar: Usage | null = null): DataFrame {
  const choice = { index, delta: { role: 'assistant', content: '' }, finish_reason: null }
  return toFrame('start', head, choice, soFar ?? undefined)
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

/** The answer to a prompt that was blocked: Google may find out when the answer is under way.
 *
 * @param candidates The candidates that have begun. */
export function toBlocked(head: Head, candidates: ReadonlyMap<number, CandidateState>): readonly Frame[] {
  if (candidates.size === 0) return [toStart(head, 0), toFinish(head, 0, { ...NEW, reason: BLOCKED }, false)]
  const cut = [...candidates].filter(([, { finished }]) => !finished)
  return cut.map(([index, candidate]) => toFinish(head, index, { ...candidate, reason: BLOCKED }, false))
}

// This runs for every piece of an answer, so the head is written once, and no object is copied.
function toFrame(kind: DataFrame['kind'], head: Head, choice: JsonObject, soFar?: Usage): DataFrame {
  const { id, object, created, model } = head
  const chunk = { id, object, created, model, choices: [choice] }
  const text = writeSse(`${head.text},"choices":[${JSON.stringify(choice)}]}`)
  return { kind, text, chunk: chunk as Chunk, usage: null, soFar }
}
