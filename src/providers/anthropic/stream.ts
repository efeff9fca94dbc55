import type { Call } from '#core/call.ts'
import type { Chunk, DataFrame, Frame } from '#core/frame.ts'
import { parseExactly } from '#lib/exact-json.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import { toCountFrame } from '../count.ts'
import type { StreamEvent, StreamReducer } from '../provider.ts'
import { fromStopReason, isBlank, toHead, toRefusal } from './answer.ts'
import { type Block, openBlock, stepBlock, stopBlock } from './block.ts'
import { fromAnthropicErrorBody } from './error.ts'
import { fromAnthropicUsage, mergeUsage } from './usage.ts'

interface State {
  /** What every chunk begins with; `null` before the message has started. */
  readonly head: JsonObject | null
  /** The current block; blocks arrive one after the other. */
  readonly block: Block | null
  readonly toolCalls: number
  /** Whether the answer has had any content yet. */
  readonly spoke: boolean
  /** The thoughts so far, as callers keep them. */
  readonly details: readonly JsonObject[]
  readonly usage: JsonObject
  readonly finished: boolean
  readonly counted: boolean
}

type Step = readonly [State, readonly Frame[]]
type Reader = (state: State, event: JsonObject, call: Call) => Step

const EMPTY: State = {
  head: null,
  block: null,
  toolCalls: 0,
  spoke: false,
  details: [],
  usage: {},
  finished: false,
  counted: false,
}

/** The handler of each event; events of other types, such as `ping` and future ones, are skipped. */
const READERS: ReadonlyMap<unknown, Reader> = new Map<unknown, Reader>([
  ['content_block_start', startBlock],
  ['content_block_delta', goOn],
  ['content_block_stop', endBlock],
  ['message_delta', endMessage],
  ['message_stop', stop],
])

/** Creates the reducer of one stream: events of the Messages API in, OpenAI's chunks out.
 *
 * The thoughts come twice: piece by piece as `reasoning_content` for people, and whole, with their signatures, as one
 * `reasoning_details` before the finish for who sends them back.
 *
 * @param created When the answer began, in Unix seconds. */
export function createAnthropicStream(call: Call, created: number): StreamReducer<State> {
  function step(state: State, { data }: StreamEvent): Step {
    const event = parseExactly(data)
    if (!isObject(event)) throw new TypeError('an event that is no object')
    if (event.type === 'error') return fail(state, event)
    if (event.type === 'message_start') return start(state, event, created)
    const read = READERS.get(event.type)
    if (read === undefined) return [state, []]
    if (state.head === null) throw new TypeError(`${String(event.type)} before message_start`)
    return read(state, event, call)
  }

  return { start: () => EMPTY, step, end: state => count(state)[1] }
}

/** Ends the answer: nothing after an error belongs to it. */
function fail(state: State, event: JsonObject): Step {
  const error = fromAnthropicErrorBody(event)
  return [{ ...state, finished: true, counted: true }, [{ kind: 'error', error }]]
}

function start(state: State, { message }: JsonObject, created: number): Step {
  if (!isObject(message) || state.head !== null) throw new TypeError('message_start without a message, or a second one')
  const head = toHead(message, 'chat.completion.chunk', created)
  const usage = isObject(message.usage) ? message.usage : {}
  return [{ ...state, head, usage }, [withCount(toFrame('start', head, { role: 'assistant', content: '' }), usage)]]
}

function startBlock(state: State, { content_block: given }: JsonObject, call: Call): Step {
  const { toolCalls, details, spoke } = state
  const place = details.length + toolCalls + (spoke ? 1 : 0)
  const { block, delta } = openBlock(isObject(given) ? given : {}, call, { place, tool: toolCalls })
  const isCall = block.kind === 'tool' && block.tool !== null
  const next = {
    ...state,
    block,
    toolCalls: isCall ? toolCalls + 1 : toolCalls,
    spoke: spoke || speaks(delta),
  }
  return [next, toDeltas(state, delta)]
}

function goOn(state: State, { delta: given }: JsonObject): Step {
  if (state.block === null || !isObject(given)) return [state, []]
  const { block, delta } = stepBlock(state.block, given)
  const spoke = state.spoke || speaks(delta)
  return [block === state.block && spoke === state.spoke ? state : { ...state, block, spoke }, toDeltas(state, delta)]
}

/** Whether a delta has content of the answer itself. White space alone is none: the API would not take it back. */
function speaks(delta: JsonObject | null): boolean {
  return delta !== null && typeof delta.content === 'string' && !isBlank(delta.content)
}

function endBlock(state: State): Step {
  if (state.block === null) return [state, []]
  const { detail, delta } = stopBlock(state.block)
  const details = detail === null ? state.details : [...state.details, detail]
  return [{ ...state, block: null, details }, toDeltas(state, delta)]
}

function endMessage(state: State, { delta, usage }: JsonObject): Step {
  const next = { ...state, usage: mergeUsage(state.usage, usage) }
  const { stop_reason: reason, stop_details: details } = isObject(delta) ? delta : {}
  return typeof reason === 'string' ? finish(next, reason, details) : [next, []]
}

/** `message_stop` says that the answer is whole, also where a server forgot to say why it ended. */
function stop(state: State): Step {
  const [finished, frames] = finish(state, state.toolCalls > 0 ? 'tool_use' : 'end_turn', null)
  const [counted, owed] = count(finished)
  return [counted, [...frames, ...owed]]
}

function finish(before: State, reason: string, details: JsonValue): Step {
  if (before.finished || before.head === null) return [before, []]
  const [ended, rest] = endBlock(before)
  const state = { ...ended, head: before.head }
  const frames = [...rest]
  const refusal = toRefusal(reason, details)
  if (refusal !== null) frames.push(toFrame('delta', state.head, { refusal }))
  if (state.details.length > 0) frames.push(toFrame('delta', state.head, { reasoning_details: state.details }))
  frames.push(withCount(toFrame('finish', state.head, {}, fromStopReason(reason, state.toolCalls > 0)), state.usage))
  return [{ ...state, finished: true }, frames]
}

/** Takes the tokens of the prompt from the start of the message: an answer that is cut has no other count. */
function withCount(frame: DataFrame, given: JsonObject): DataFrame {
  const found = fromAnthropicUsage(given)
  return found === null ? frame : { ...frame, soFar: found.usage }
}

/** Takes the latest count; it may grow until the message has stopped. */
function count(state: State): Step {
  const { head } = state
  if (state.counted || !state.finished || head === null) return [state, []]
  const found = fromAnthropicUsage(state.usage)
  if (found === null) return [state, []]
  return [{ ...state, counted: true }, [toCountFrame(found, head)]]
}

function toDeltas({ head }: State, delta: JsonObject | null): readonly Frame[] {
  return delta === null || head === null ? [] : [toFrame('delta', head, delta)]
}

function toFrame(
  kind: DataFrame['kind'],
  head: JsonObject,
  delta: JsonObject,
  reason: string | null = null,
): DataFrame {
  const chunk = { ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }] }
  return { kind, text: writeSse(JSON.stringify(chunk)), chunk: chunk as Chunk, usage: null }
}
