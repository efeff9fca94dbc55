import { type Call, choicesAsked } from '#core/call.ts'
import type { Chunk, DataFrame, Frame } from '#core/frame.ts'
import { servedAs, withServed } from '#core/service-tier.ts'
import { UNCOUNTED } from '#core/usage.ts'
import { isObject, type JsonObject, type JsonValue, parseJson } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import type { Count } from '../count.ts'
import type { StreamEvent, StreamReducer } from '../provider.ts'
import { CHOICES_MAX, type Choices, type FittedChoices, fitChoices, hasContent } from './choices.ts'
import { countOf, toUsageFrame, withoutNullUsage, withoutUsage } from './count.ts'
import { inputsOf } from './embedding.ts'
import { errorIn, fromErrorBody } from './error.ts'
import { isUsualDelta } from './fields.ts'
import { fitHead, isUsualHead, seedOf } from './head.ts'
import { sayingOf } from './saying.ts'

interface State {
  readonly choices: Choices
  /** The head for chunks that the gateway adds, taken from the server's chunks. */
  readonly head: JsonObject | null
  /** The members of a chunk without a choice that arrived before the first choice, such as Azure's verdict on the
   * prompt. */
  readonly preface: JsonObject | null
  /** The tier of service as it was told last. */
  readonly tier: JsonValue
  /** The usage that has not been passed on yet. */
  readonly count: Count | null
  readonly counted: boolean
  readonly done: boolean
}

/** The parts of the call that matter to its stream. */
interface Asked {
  readonly chat: boolean
  readonly object: 'chat.completion.chunk' | 'text_completion'
  readonly wantsUsage: boolean
  readonly choices: number
  readonly choicesMax: number
}

type Step = readonly [State, readonly Frame[]]

const EMPTY: State = {
  choices: new Map(),
  head: null,
  preface: null,
  tier: undefined,
  count: null,
  counted: false,
  done: false,
}

/** Creates the reducer of one stream. A chunk's own text goes on wherever it obeys the rules of a strict client. */
export function createStream(call: Call): StreamReducer<State> {
  const chat = call.endpoint === 'chat'
  const asked: Asked = {
    chat,
    object: chat ? 'chat.completion.chunk' : 'text_completion',
    wantsUsage: call.wantsUsage,
    choices: choicesAsked(call.body),
    choicesMax: CHOICES_MAX * inputsOf(call.body.prompt),
  }
  return {
    start: () => EMPTY,
    step: (state, event) => step(asked, state, event),
    end: state => settle(asked, { ...state, done: true }, null)[1],
    saying: chat ? sayingOf : () => null,
  }
}

function step(asked: Asked, state: State, { data, name }: StreamEvent): Step {
  // Some servers keep a connection alive by events without data.
  if (state.done || data === '') return [state, []]
  if (data === '[DONE]') return finish(asked, state)
  if (name === 'error') return fail(state, parseJson(data) ?? data)
  const chunk: unknown = JSON.parse(data)
  if (!isObject(chunk)) throw new TypeError('an event that is no object')
  // Data of several lines would not fit into one line of the answer.
  const text = data.includes('\n') ? null : data
  const kind = asked.chat && text !== null && isUsualHead(chunk, asked.object) ? plainKind(state, chunk) : null
  if (kind === null || text === null) return fit(asked, state, chunk, text)
  return [state, [passOn(asked, kind, chunk, text)]]
}

/** The fast way for the typical chunk, which is passed on unchanged: one choice goes on, nothing ends, and no usage.
 *
 * @returns `null` when the chunk needs a closer look. */
function plainKind(state: State, chunk: JsonObject): 'start' | 'delta' | null {
  const list = chunk.choices
  if (!Array.isArray(list) || list.length !== 1 || chunk.error || chunk.x_groq !== undefined) return null
  if (chunk.usage !== undefined && chunk.usage !== null) return null
  const choice: unknown = list[0]
  if (!isObject(choice) || typeof choice.index !== 'number' || !isObject(choice.delta)) return null
  if ((choice.finish_reason ?? null) !== null || !isUsualDelta(choice.delta)) return null
  const known = state.choices.get(choice.index)
  if (known === undefined || known.finished) return null
  return hasContent(choice.delta) ? 'delta' : 'start'
}

function passOn(asked: Asked, kind: DataFrame['kind'], chunk: JsonObject, text: string): DataFrame {
  const own = chunk.usage === null && !asked.wantsUsage ? withoutNullUsage(text, chunk) : text
  return { kind, text: writeSse(own), chunk: chunk as Chunk, usage: null }
}

/** The slow way, for what begins, ends, counts or breaks a rule. */
function fit(asked: Asked, state: State, given: JsonObject, text: string | null): Step {
  const error = errorIn(given)
  if (error !== null) return fail(state, error)
  const list = Array.isArray(given.choices) ? given.choices : []
  // Clients of a stream would not find its text, because they look for it in another place.
  if (asked.chat && list.some(isWholeChoice)) throw new TypeError('a plain answer to a stream')
  const tier = given.service_tier ?? state.tier
  const count = countOf(given, list, tier)
  // Clients look into the first choice without asking whether there is one.
  if (list.length === 0 && count === null) return [withPreface(state, given), []]
  const chunk = fitHead({ ...state.preface, ...given }, asked.object, state.head)
  const { choicesMax } = asked
  const options = { chat: asked.chat, tail: count !== null, seed: seedOf(given), choicesMax }
  const fitted = fitChoices(list, state.choices, options)
  const next: State = {
    ...state,
    choices: fitted.choices,
    head: state.head ?? headOf(chunk),
    preface: null,
    tier,
    count: count ?? state.count,
  }
  const whole = state.preface === null && isUsualHead(given, asked.object) ? text : null
  if (count !== null && fitted.list.length === 0) return settle(asked, next, chunk, whole)
  if (fitted.list.length === 0) return [next, []]
  const own = toFrame(asked, chunk, fitted, count, whole)
  // An answer that is cut has no count, and was served at a tier all the same.
  const frame =
    tier === state.tier || count !== null
      ? own
      : { ...own, soFar: withServed(state.count?.usage ?? UNCOUNTED, servedAs(tier)) }
  // Behind an end without a count, the last one may still be to come.
  const [settled, owed] = count === null || !countsAll(asked) ? [next, []] : settle(asked, next, null)
  return [settled, [frame, ...owed]]
}

/** Keeps the members of a chunk without a choice, unless it is only a server's keep-alive. */
function withPreface(state: State, chunk: JsonObject): State {
  if (state.choices.size > 0 || !Array.isArray(chunk.choices)) return state
  const { id: _, object: __, created: ___, model: ____, choices: _____, usage: ______, ...preface } = chunk
  return { ...state, preface: { ...state.preface, ...preface } }
}

function toFrame(asked: Asked, chunk: JsonObject, fitted: FittedChoices, count: Count | null, text: string | null) {
  const kind = fitted.finishes ? 'finish' : fitted.content ? 'delta' : 'start'
  if (!fitted.changed && count === null && text !== null) return passOn(asked, kind, chunk, text)
  const choices = fitted.list.map(choice => (isObject(choice) ? withoutUsage(choice) : choice))
  const changed = { ...withoutUsage(chunk), choices }
  const own = { kind, text: writeSse(JSON.stringify(changed)), chunk: changed as Chunk } as const
  if (count === null) return { ...own, usage: null }
  if (isWhole(asked, fitted.choices) && countsAll(asked)) return { ...own, usage: count.usage }
  return { ...own, usage: null, soFar: count.usage }
}

/** Whether a count that comes with a choice is of the whole answer: of several, vLLM counts each on its own, and all of
 * them behind the last. */
function countsAll({ choices }: Asked): boolean {
  return choices === 1
}

/** Passes the count on once every choice has finished; until then it may still grow. Servers may give fewer choices than
 * they are asked for, which is known at the end.
 *
 * @param chunk The chunk that brought the count and nothing else, if one did, with its text if that may go on. */
function settle(asked: Asked, state: State, chunk: JsonObject | null, text: string | null = null): Step {
  const isOver = state.done ? isFinished(state.choices) : isWhole(asked, state.choices)
  if (state.count === null || state.counted || !isOver) return [state, []]
  const frame = toUsageFrame(state.count, chunk ?? state.head ?? {}, asked.object, text)
  return [{ ...state, count: null, counted: true }, [frame]]
}

/** `[DONE]` says that the answer is whole, also where a server forgot to say why it ended. */
function finish(asked: Asked, state: State): Step {
  const frames: Frame[] = []
  const choices = new Map(state.choices)
  for (const [index, choice] of state.choices) {
    if (choice.finished) continue
    const finish_reason = choice.tools.size > 0 ? 'tool_calls' : 'stop'
    const part = asked.chat ? { delta: {} } : { text: '' }
    const chunk = { ...state.head, choices: [{ index, ...part, logprobs: null, finish_reason }] }
    frames.push({ kind: 'finish', text: writeSse(JSON.stringify(chunk)), chunk, usage: null })
    choices.set(index, { ...choice, finished: true })
  }
  const [settled, owed] = settle(asked, { ...state, choices, done: true }, null)
  return [settled, [...frames, ...owed]]
}

function fail(state: State, body: unknown): Step {
  return [{ ...state, done: true }, [{ kind: 'error', error: fromErrorBody(body) }]]
}

/** Whether a choice is one of a plain answer. */
function isWholeChoice(choice: JsonValue): boolean {
  return isObject(choice) && !isObject(choice.delta) && isObject(choice.message)
}

function headOf({ id, object, created, model }: JsonObject): JsonObject {
  return { id, object, created, model }
}

function isWhole(asked: Asked, choices: Choices): boolean {
  return choices.size >= asked.choices && isFinished(choices)
}

function isFinished(choices: Choices): boolean {
  for (const choice of choices.values()) if (!choice.finished) return false
  return choices.size > 0
}
