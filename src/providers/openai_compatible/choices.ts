import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { fitFields } from './fields.ts'
import { fitReason } from './finish.ts'
import { fitToolCallDeltas, type OpenToolCalls } from './tool-calls.ts'

/** What a stream reducer remembers of one choice. */
interface ChoiceState {
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
  /** Whether a choice has finished with this chunk. */
  readonly finishes: boolean
  readonly content: boolean
}

interface Options {
  /** Whether choices carry deltas; those of `/completions` carry text. */
  readonly chat: boolean
  /** Whether the chunk counts tokens: what it repeats of finished choices is then left out. */
  readonly tail: boolean
  /** The text from which ids are made where the server gives none. */
  readonly seed: string
  /** How many choices the answer may have. */
  readonly choicesMax: number
}

/** The most choices that a caller may ask for with one prompt. */
export const CHOICES_MAX = 128

/** @throws TypeError for a choice that nobody can have asked for. */
export function checkChoice(index: number, choicesMax: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= choicesMax)
    throw new TypeError('a choice that nobody asked for')
}

/** Whether a delta carries something a reader would see. */
export function hasContent(delta: JsonObject): boolean {
  return (
    isFilled(delta.content) ||
    isFilled(delta.reasoning_content) ||
    isFilled(delta.reasoning) ||
    isFilled(delta.tool_calls) ||
    isFilled(delta.refusal) ||
    // What a model draws, as OpenRouter and other gateways give it.
    isFilled(delta.images) ||
    isObject(delta.audio) ||
    isObject(delta.function_call)
  )
}

/** Fits the choices of one chunk: a role in the first of each choice, one finish, complete tool calls.
 *
 * @throws TypeError for a choice that nobody can have asked for, and for too many tool calls: something is remembered
 * of each, and looked through at each. */
export function fitChoices(list: readonly JsonValue[], choices: Choices, options: Options): FittedChoices {
  let now = choices
  let finishes = false
  let content = false
  const fitted: JsonValue[] = []
  for (const [position, choice] of list.entries()) {
    if (!isObject(choice)) continue
    const index = typeof choice.index === 'number' ? choice.index : position
    checkChoice(index, options.choicesMax)
    const before = now.get(index)
    const part = options.chat ? fitDelta(choice, index, before, options.seed) : fitText(choice)
    if (before?.finished && !part.filled && (options.tail || isFilled(choice.finish_reason))) continue
    const tools = part.tools ?? before?.tools ?? NO_TOOLS
    const reason = before?.finished ? null : fitReason(choice.finish_reason, tools.size > 0)
    const finished = before?.finished === true || reason !== null
    fitted.push(withHead(part.choice, index, reason))
    content ||= part.filled
    finishes ||= finished && before?.finished !== true
    if (before?.finished !== finished || before.tools !== tools) now = new Map(now).set(index, { finished, tools })
  }
  const changed = fitted.length !== list.length || fitted.some((choice, at) => choice !== list[at])
  return { list: changed ? fitted : list, choices: now, changed, finishes, content }
}

const NO_TOOLS: OpenToolCalls = new Map()

/** Corrects the delta, message or text of a choice; the same object when nothing had to change. */
interface Part {
  readonly choice: JsonObject
  readonly filled: boolean
  readonly tools?: OpenToolCalls
}

function fitText(choice: JsonObject): Part {
  const filled = isFilled(choice.text) || isFilled(choice.reasoning_content)
  return { choice: typeof choice.text === 'string' ? choice : { ...choice, text: choice.text ?? '' }, filled }
}

function fitDelta(choice: JsonObject, index: number, before: ChoiceState | undefined, seed: string): Part {
  const given = fitFields(isObject(choice.delta) ? choice.delta : {})
  const filled = hasContent(given)
  const delta = fitRole(given, before === undefined)
  const calls = given.tool_calls
  if (!Array.isArray(calls) || calls.length === 0) return { choice: withDelta(choice, delta), filled }
  const { calls: fitted, open } = fitToolCallDeltas(calls, before?.tools ?? NO_TOOLS, `${seed}:${index}`)
  const whole = fitted === calls ? delta : { ...delta, tool_calls: fitted }
  return { choice: withDelta(choice, whole), filled, tools: open }
}

/** The first delta of a choice has the role; in later ones it may come again, but not be empty or another. */
function fitRole(delta: JsonObject, first: boolean): JsonObject {
  if (delta.role === 'assistant' || (delta.role === undefined && !first)) return delta
  const { role: _, ...rest } = delta
  return first ? { role: 'assistant', ...rest } : rest
}

function withDelta(choice: JsonObject, delta: JsonObject): JsonObject {
  return delta === choice.delta ? choice : { ...choice, delta }
}

function withHead(choice: JsonObject, index: number, reason: string | null): JsonObject {
  // A finish_reason that is missing means the same as null.
  if (choice.index === index && (choice.finish_reason ?? null) === reason) return choice
  return { ...choice, index, finish_reason: reason }
}

function isFilled(value: unknown): boolean {
  return typeof value === 'string' ? value !== '' : Array.isArray(value) && value.length > 0
}
