import type { Call } from '#core/call.ts'
import type { Chunk, DataFrame, Frame } from '#core/frame.ts'
import type { Usage } from '#core/usage.ts'
import { isObject, type JsonObject, type JsonValue, parseJson } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import type { StreamEvent, StreamReducer } from '../provider.ts'
import { type Choices, envelopeOf, fitChoices, hasContent } from './chunk.ts'
import { fromErrorBody, isErrorBody } from './error.ts'
import { fromUsage, usageOf, withoutNullUsage, withoutUsage } from './usage.ts'

/** The latest count of a stream: as the server wrote it, and as the gateway reads it. */
interface Count {
  readonly raw: JsonValue
  readonly usage: Usage
}

interface State {
  readonly choices: Choices
  /** Head of the chunks that the gateway adds; taken from the server's. */
  readonly envelope: JsonObject | null
  /** A count that has not been passed on yet. */
  readonly count: Count | null
  readonly counted: boolean
  readonly done: boolean
}

type Step = readonly [State, readonly Frame[]]

const EMPTY: State = { choices: new Map(), envelope: null, count: null, counted: false, done: false }

/** Creates the reducer of one stream. A chunk's own text goes on wherever it obeys the rules of a strict client. */
export function createStream(call: Call): StreamReducer<State> {
  const chat = call.endpoint === 'chat'
  const object = chat ? 'chat.completion.chunk' : 'text_completion'

  function step(state: State, event: StreamEvent): Step {
    const { data, name } = event
    if (state.done) return [state, []]
    if (data === '[DONE]') return finish(state)
    if (name === 'error') return fail(state, parseJson(data) ?? data)
    const chunk: unknown = JSON.parse(data)
    if (!isObject(chunk)) throw new TypeError('an event that is no object')
    const kind = chat ? plainKind(state, chunk) : null
    if (kind === null || data.includes('\n')) return fit(state, chunk, data)
    const text = chunk.usage === null && !call.wantsUsage ? withoutNullUsage(data, chunk) : data
    return [state, [{ kind, text: writeSse(text), chunk: chunk as Chunk, usage: null }]]
  }

  /** The slow way, for what begins, ends, counts or breaks a rule. */
  function fit(state: State, chunk: JsonObject, data: string): Step {
    if (isErrorBody(chunk) || failsInChoice(chunk.choices)) return fail(state, chunk)
    const list = Array.isArray(chunk.choices) ? chunk.choices : []
    const raw = usageOf(chunk, list)
    const usage = fromUsage(raw)
    const count = usage === null ? state.count : { raw, usage }
    // What is neither a chunk nor a count is some server's keep-alive.
    if (!Array.isArray(chunk.choices) && usage === null) return [state, []]
    const seed = `${chunk.id}${chunk.created}`
    const fitted = fitChoices(list, state.choices, { chat, tail: usage !== null, seed })
    const envelope = state.envelope?.id ? state.envelope : envelopeOf(chunk, object)
    const next: State = { ...state, choices: fitted.choices, envelope, count }
    if (fitted.list.length === 0 && (list.length > 0 || usage !== null))
      return settle(next, usage !== null ? chunk : null, data)
    const frame = toFrame(chunk, data, fitted, usage)
    const [settled, owed] = settle(next, null, data)
    return [settled, [frame, ...owed]]
  }

  function toFrame(
    chunk: JsonObject,
    data: string,
    fitted: ReturnType<typeof fitChoices>,
    usage: Usage | null,
  ): DataFrame {
    const kind = fitted.finishes ? 'finish' : fitted.content ? 'delta' : 'start'
    if (!fitted.changed && usage === null && !data.includes('\n')) {
      const text = chunk.usage === null && !call.wantsUsage ? withoutNullUsage(data, chunk) : data
      return { kind, text: writeSse(text), chunk: chunk as Chunk, usage }
    }
    const choices = fitted.list.map(choice => (isObject(choice) ? withoutUsage(choice) : choice))
    const changed = { ...withoutUsage(chunk), choices }
    return { kind, text: writeSse(JSON.stringify(changed)), chunk: changed as Chunk, usage }
  }

  /** Passes the count on once every choice has finished; until then it may still grow. */
  function settle(state: State, chunk: JsonObject | null, data: string): Step {
    const { count } = state
    if (count === null || state.counted || !isFinished(state.choices)) return [state, []]
    const isOpenAi =
      chunk !== null && Array.isArray(chunk.choices) && chunk.choices.length === 0 && !data.includes('\n')
    const own = isOpenAi ? chunk : { ...(chunk ?? state.envelope), object, choices: [], usage: count.raw }
    const text = writeSse(isOpenAi ? data : JSON.stringify(own))
    const frame: DataFrame = { kind: 'usage', text, chunk: own as Chunk, usage: count.usage }
    return [{ ...state, count: null, counted: true }, [frame]]
  }

  /** `[DONE]` says that the answer is whole, also where a server forgot to say why it ended. */
  function finish(state: State): Step {
    const frames: Frame[] = []
    const choices = new Map(state.choices)
    for (const [index, choice] of state.choices) {
      if (choice.finished) continue
      const finish_reason = choice.tools.size > 0 ? 'tool_calls' : 'stop'
      const part = chat ? { delta: {} } : { text: '' }
      const chunk = { ...state.envelope, choices: [{ index, ...part, logprobs: null, finish_reason }] }
      frames.push({ kind: 'finish', text: writeSse(JSON.stringify(chunk)), chunk, usage: null })
      choices.set(index, { ...choice, finished: true })
    }
    const [settled, owed] = settle({ ...state, choices, done: true }, null, '')
    return [settled, [...frames, ...owed]]
  }

  return { start: () => EMPTY, step, end: state => settle(state, null, '')[1] }
}

function fail(state: State, body: unknown): Step {
  return [{ ...state, done: true }, [{ kind: 'error', error: fromErrorBody(body) }]]
}

/** The kind of the typical chunk, that goes on as it came: one choice under way, nothing ends, nothing is counted.
 *
 * @returns `null` when the chunk needs a closer look. */
function plainKind(state: State, chunk: JsonObject): 'start' | 'delta' | null {
  const list = chunk.choices
  if (!Array.isArray(list) || list.length !== 1 || chunk.error || chunk.x_groq !== undefined) return null
  if (chunk.usage !== undefined && chunk.usage !== null) return null
  const { index, delta, finish_reason: reason } = list[0] ?? {}
  if (typeof index !== 'number' || !isObject(delta) || (reason !== null && reason !== undefined)) return null
  const choice = state.choices.get(index)
  if (choice === undefined || choice.finished || delta.tool_calls) return null
  return hasContent(delta) ? 'delta' : 'start'
}

function failsInChoice(choices: JsonValue): boolean {
  return Array.isArray(choices) && choices.some(choice => choice?.finish_reason === 'error')
}

function isFinished(choices: Choices): boolean {
  for (const choice of choices.values()) if (!choice.finished) return false
  return choices.size > 0
}
