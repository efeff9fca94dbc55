import type { Call } from '#core/call.ts'
import type { Chunk, DataFrame, Frame } from '#core/frame.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import { toCountFrame } from '../count.ts'
import type { StreamEvent, StreamReducer } from '../provider.ts'
import { fromOllamaDoneReason, fromOllamaLogprobs, fromOllamaToolCalls, toHead } from './answer.ts'
import { fromOllamaErrorLine } from './error.ts'
import { fromOllamaUsage } from './usage.ts'

/** Hardly any call of a tool has so many tokens; what is more is left out, but never what is known of a text. */
const WAITING_MAX = 4096

interface State {
  /** The first members of every chunk; `null` before the first line. */
  readonly head: JsonObject | null
  readonly toolCalls: number
  /** What is known of tokens that no text has come of yet: servers send each while they make out a call of a tool. */
  readonly waiting: readonly JsonValue[]
  readonly done: boolean
}

type Step = readonly [State, readonly Frame[]]

/** Creates the reducer of one stream: lines of `/api/chat` or `/api/generate` in, OpenAI's chunks out. */
export function createOllamaStream(call: Call): StreamReducer<State> {
  const chat = call.endpoint === 'chat'
  const object = chat ? 'chat.completion.chunk' : 'text_completion'

  function step(state: State, event: StreamEvent): Step {
    if (state.done) return [state, []]
    const line: unknown = JSON.parse(event.data)
    if (!isObject(line)) throw new TypeError('a line that is no object')
    if (line.error) return [{ ...state, done: true }, [{ kind: 'error', error: fromOllamaErrorLine(line) }]]
    const head = state.head ?? toHead(line, object)
    const message = isObject(line.message) ? line.message : {}
    const calls = fromOllamaToolCalls(message.tool_calls, state.toolCalls, head.id)
    const toolCalls = state.toolCalls + calls.length
    const frames: Frame[] = []
    if (state.head === null && chat) frames.push(toFrame('start', head, { delta: { role: 'assistant', content: '' } }))
    const part = chat ? toDelta(message, calls) : toText(line)
    const known = part === null && state.waiting.length >= WAITING_MAX ? state.waiting : withOwn(state.waiting, line)
    if (part !== null) frames.push(toFrame('delta', head, { ...part, logprobs: fromOllamaLogprobs(known) }))
    const waiting = part === null ? known : []
    if (line.done !== true) return [{ head, toolCalls, waiting, done: false }, frames]
    const reason = fromOllamaDoneReason(line.done_reason, toolCalls > 0)
    frames.push(toFrame('finish', head, toEnd(chat, fromOllamaLogprobs(waiting)), reason))
    const count = fromOllamaUsage(line)
    if (count !== null) frames.push(toCountFrame(count, head))
    return [{ head, toolCalls, waiting: [], done: true }, frames]
  }

  return { start: () => ({ head: null, toolCalls: 0, waiting: [], done: false }), step, end: () => [] }
}

function toFrame(kind: DataFrame['kind'], head: JsonObject, part: JsonObject, reason: string | null = null): DataFrame {
  const chunk = { ...head, choices: [{ index: 0, ...part, finish_reason: reason }] }
  return { kind, text: writeSse(JSON.stringify(chunk)), chunk: chunk as Chunk, usage: null }
}

function withOwn(waiting: readonly JsonValue[], { logprobs }: JsonObject): readonly JsonValue[] {
  return Array.isArray(logprobs) ? [...waiting, ...logprobs] : waiting
}

function toEnd(chat: boolean, logprobs: JsonObject | null): JsonObject {
  const end = chat ? { delta: {} } : { text: '' }
  return logprobs === null ? end : { ...end, logprobs }
}

function toDelta(message: JsonObject, calls: readonly JsonObject[]): JsonObject | null {
  const thinking: JsonValue = message.thinking || undefined
  const content: JsonValue = message.content || undefined
  if (!thinking && !content && calls.length === 0) return null
  return { delta: { reasoning_content: thinking, content, tool_calls: calls.length > 0 ? calls : undefined } }
}

function toText(line: JsonObject): JsonObject | null {
  if (!line.response && !line.thinking) return null
  return { text: line.response ?? '', reasoning_content: line.thinking || undefined }
}
