import type { Call } from '#core/call.ts'
import type { Frame } from '#core/frame.ts'
import type { Usage } from '#core/usage.ts'
import { isObject } from '#lib/json.ts'
import { toCountFrame } from '../count.ts'
import { CHOICES_MAX, checkChoice } from '../openai_compatible/choices.ts'
import type { StreamEvent, StreamReducer } from '../provider.ts'
import { type Head, isBlocked, toHead } from './answer.ts'
import { type CandidateState, readCandidate, toBlocked, toFinish } from './candidate.ts'
import { fromGeminiErrorBody, geminiErrorIn } from './error.ts'
import { fromGeminiUsage, toGeminiCount, uncountedGemini } from './usage.ts'

interface State {
  /** The first members of every chunk; `null` before the first event. */
  readonly head: Head | null
  readonly candidates: ReadonlyMap<number, CandidateState>
  /** The latest count; each replaces the one before. */
  readonly count: Usage | null
  readonly done: boolean
}

type Step = readonly [State, readonly Frame[]]

const EMPTY: State = { head: null, candidates: new Map(), count: null, done: false }

/** Creates the reducer of one stream: events of `streamGenerateContent` in, OpenAI's chunks out.
 *
 * @param nowEpochMs When the stream begins, which Gemini does not tell.
 * @param tier The tier of service, where its head tells it. */
export function createGeminiStream(
  call: Call,
  nowEpochMs: number = Date.now(),
  tier: string | null = null,
): StreamReducer<State> {
  const { model, n } = call.body
  const expected = typeof n === 'number' ? n : 1

  function step(state: State, event: StreamEvent): Step {
    if (state.done) return [state, []]
    const chunk: unknown = JSON.parse(event.data)
    const error = geminiErrorIn(chunk)
    if (error !== null) return [{ ...state, done: true }, [{ kind: 'error', error: fromGeminiErrorBody(error) }]]
    if (!isObject(chunk)) throw new TypeError('an event that is no object')
    const head = state.head ?? toHead(chunk, 'chat.completion.chunk', model, event.data, nowEpochMs)
    const counted = fromGeminiUsage(chunk.usageMetadata, tier)
    const count = counted ?? state.count
    const soFar = counted ?? (state.candidates.size === 0 ? uncountedGemini(chunk.usageMetadata, tier) : null)
    const list = Array.isArray(chunk.candidates) ? chunk.candidates : []
    if (list.length === 0 && isBlocked(chunk))
      return settle({ ...state, head, count }, toBlocked(head, state.candidates))
    let candidates = state.candidates
    const frames: Frame[] = []
    for (const [at, candidate] of list.entries()) {
      if (!isObject(candidate)) continue
      const index = typeof candidate.index === 'number' ? candidate.index : at
      checkChoice(index, CHOICES_MAX)
      const before = candidates.get(index)
      if (before?.finished) continue
      const [read, produced] = readCandidate(candidate, index, before, head, soFar)
      frames.push(...produced)
      // Servers of 2023 repeat the reason in each event, and send no count: their candidates end with the stream.
      const ends = read.reason !== null && counted !== null
      if (ends) frames.push(toFinish(head, index, read, expected === 1))
      if (read !== before) candidates = new Map(candidates).set(index, ends ? { ...read, finished: true } : read)
    }
    const now = { head, candidates, count, done: false }
    const isOver = candidates !== state.candidates && finishedIn(candidates) >= expected
    return isOver ? settle(now, frames) : [now, frames]
  }

  /** Sends the end of the candidates that ended without a count. A candidate that never ended was cut. */
  function end(state: State): readonly Frame[] {
    const { head } = state
    if (state.done || head === null) return []
    const frames: Frame[] = []
    for (const [index, candidate] of state.candidates) {
      if (candidate.reason !== null && !candidate.finished)
        frames.push(toFinish(head, index, candidate, expected === 1))
    }
    const told = frames.length > 0 || finishedIn(state.candidates) > 0
    return told ? settle(state, frames)[1] : frames
  }

  return { start: () => EMPTY, step, end }
}

/** Ends the stream, with the count behind everything else. */
function settle(state: State, frames: readonly Frame[]): Step {
  const done = { ...state, done: true }
  if (state.head === null || state.count === null || frames.some(frame => frame.kind === 'error')) return [done, frames]
  const { text: _, ...head } = state.head
  return [done, [...frames, toCountFrame(toGeminiCount(state.count), head)]]
}

function finishedIn(candidates: ReadonlyMap<number, CandidateState>): number {
  let finished = 0
  for (const candidate of candidates.values()) if (candidate.finished) finished++
  return finished
}
