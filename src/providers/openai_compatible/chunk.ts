import type { Chunk, Delta } from '#core/frame.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { fitToolCallDeltas, type OpenToolCalls } from './tool-calls.ts'

/** What a stream reducer remembers of one choice. */
export interface ChoiceState {
  readonly finished: boolean
  readonly tools: OpenToolCalls
}

/** The choices that have begun, by index. */
export type Choices = ReadonlyMap<number, ChoiceState>

/** The choices of one chunk, made to obey the rules. */
export interface FittedChoices {
  readonly list: readonly JsonValue[]
  readonly choices: Choices
  readonly changed: boolean
  /** Whether a choice finished with this chunk. */
  readonly finishes: boolean
  readonly content: boolean
}

/** Whether a delta carries something a reader would see. */
export function hasContent(delta: Delta | JsonObject): boolean {
  return (
    isFilled(delta.content) ||
    isFilled(delta.reasoning_content) ||
    isFilled(delta.reasoning) ||
    isFilled(delta.tool_calls) ||
    isFilled(delta.refusal) ||
    isObject(delta.audio) ||
    isObject(delta.function_call)
  )
}

/** Fits the choices of one chunk: a role in the first of each choice, one finish, complete tool calls.
 *
 * @param options.chat Whether they carry deltas; the choices of `/completions` carry text.
 * @param options.tail Whether the chunk counts tokens: what it repeats of finished choices is then left out. */
export function fitChoices(
  list: readonly JsonValue[],
  choices: Choices,
  options: { readonly chat: boolean; readonly tail: boolean; readonly seed: string },
): FittedChoices {
  let now = choices
  let finishes = false
  let content = false
  const fitted: JsonValue[] = []
  for (const [position, choice] of list.entries()) {
    if (!isObject(choice)) continue
    const index = typeof choice.index === 'number' ? choice.index : position
    const before = now.get(index)
    const { value, state, filled } = fitChoice(choice, index, before, options)
    if (before?.finished && !filled && (options.tail || isFilled(choice.finish_reason))) continue
    fitted.push(value)
    content ||= filled
    finishes ||= state.finished && !before?.finished
    if (state !== before) now = new Map(now).set(index, state)
  }
  const changed = fitted.length !== list.length || fitted.some((choice, at) => choice !== list[at])
  return { list: changed ? fitted : list, choices: now, changed, finishes, content }
}

function fitChoice(
  choice: JsonObject,
  index: number,
  before: ChoiceState | undefined,
  options: { readonly chat: boolean; readonly seed: string },
): { readonly value: JsonObject; readonly state: ChoiceState; readonly filled: boolean } {
  const state = before ?? { finished: false, tools: new Map() }
  const reason = state.finished || choice.finish_reason === '' ? null : choice.finish_reason
  const finished = state.finished || isFilled(reason)
  const sameReason = reason === choice.finish_reason || (reason === null && choice.finish_reason === undefined)
  const sameHead = sameReason && index === choice.index
  if (!options.chat) {
    const next = before?.finished === finished ? before : { ...state, finished }
    const value =
      sameHead && typeof choice.text === 'string'
        ? choice
        : withHead(choice, index, reason, { text: choice.text ?? '' })
    return { value, state: next, filled: isFilled(choice.text) || isFilled(choice.reasoning_content) }
  }
  const { delta, tools } = fitDelta(choice.delta, index, before, options.seed)
  const next = before?.finished === finished && before.tools === tools ? before : { finished, tools }
  const value = sameHead && delta === choice.delta ? choice : withHead(choice, index, reason, { delta })
  return { value, state: next, filled: hasContent(delta) }
}

function withHead(choice: JsonObject, index: number, reason: JsonValue, rest: JsonObject): JsonObject {
  return { ...choice, index, ...rest, finish_reason: reason ?? null }
}

function fitDelta(
  given: JsonValue,
  index: number,
  before: ChoiceState | undefined,
  seed: string,
): { readonly delta: JsonObject; readonly tools: OpenToolCalls } {
  const delta = isObject(given) ? given : {}
  const withRole = before === undefined && !isFilled(delta.role) ? { ...delta, role: 'assistant' } : delta
  const open = before?.tools ?? new Map()
  const calls = delta.tool_calls
  if (!Array.isArray(calls) || calls.length === 0) return { delta: withRole, tools: open }
  const fitted = fitToolCallDeltas(calls, open, `${seed}:${index}`)
  if (fitted.calls === calls) return { delta: withRole, tools: fitted.open }
  return { delta: { ...withRole, tool_calls: fitted.calls }, tools: fitted.open }
}

function isFilled(value: unknown): boolean {
  return typeof value === 'string' ? value !== '' : Array.isArray(value) && value.length > 0
}

/** What a chunk says of the answer as a whole, for the chunks that the gateway adds. */
export function envelopeOf(chunk: Chunk | JsonObject, object: string): JsonObject {
  const { id, created, model } = chunk as JsonObject
  return { id: id ?? '', object, created: created ?? 0, model: model ?? '' }
}
