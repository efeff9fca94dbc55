import { DEPTH_MAX, MEMBERS_MAX } from '#core/call.ts'
import { parseExactly } from '#lib/exact-json.ts'
import { sha256 } from '#lib/hash.ts'
import { excessIn, isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** A tool call that has begun in a stream. */
interface OpenToolCall {
  readonly id: string
  /** The server's id for it, if any. */
  readonly given: JsonValue
  readonly name: string
  /** Its index as the caller sees it. */
  readonly index: number
}

/** The tool calls of one choice that have begun, by the index that the server gave them. */
export type OpenToolCalls = ReadonlyMap<number, OpenToolCall>

/** The most tool calls of one answer, more than any has. There is a limit because each is compared with all before
 * it. */
const TOOL_CALLS_MAX = 1000

/** @throws TypeError for more tool calls than any answer has. */
export function checkToolCalls(count: number): void {
  if (count > TOOL_CALLS_MAX) throw new TypeError('too many tool calls')
}

/** Whether an id, like TGI's `0`, would come again in the next answer, where it would mean another call. */
const NOT_UNIQUE = /^\d{0,3}$/

/** Completes a whole tool call: id, type and arguments as text; the same object when nothing had to change.
 *
 * @param taken The ids of the calls before it. */
export function fitToolCall(
  call: JsonObject,
  index: number,
  seed: string,
  taken: readonly JsonValue[] = [],
): JsonObject {
  const isUsable = isText(call.id) && !NOT_UNIQUE.test(call.id) && !taken.includes(call.id)
  const id = isUsable ? call.id : toolCallId(seed, index)
  const type = isText(call.type) ? call.type : 'function'
  const functionPart = type === 'function' || isObject(call.function) ? fitFunction(call.function) : call.function
  if (id === call.id && type === call.type && functionPart === call.function) return call
  return { ...call, id, type, function: functionPart }
}

/** Completes the tool calls of a whole answer; the same list when nothing had to change.
 *
 * @throws TypeError for too many. */
export function fitToolCalls(calls: readonly JsonValue[], seed: string): readonly JsonValue[] {
  checkToolCalls(calls.length)
  const ids: JsonValue[] = []
  const fitted = calls.map((call, index) => {
    if (!isObject(call)) return call
    const whole = fitToolCall(call, index, seed, ids)
    ids.push(whole.id)
    return whole.index === undefined ? whole : withoutIndex(whole)
  })
  return fitted.every((call, at) => call === calls[at]) ? calls : fitted
}

/** Removes the index of a call, which belongs to streams only: clients send calls back as they got them, and OpenAI
 * refuses a call with an index. */
function withoutIndex({ index: _, ...call }: JsonObject): JsonObject {
  return call
}

/** Fits the tool calls of one delta to what OpenAI streams: calls are numbered from 0, the first delta of a call is
 * complete, later ones repeat neither id nor name (accumulating clients would append them).
 *
 * Numbers from 1, as Anthropic's compatible endpoint gives them behind a text, leave a hole in a client's list that
 * OpenAI's own library falls into.
 *
 * @param seed What ids are made from where the server gives none.
 * @returns The calls and what is open now; the same objects when nothing changed.
 * @throws TypeError for too many. */
export function fitToolCallDeltas(
  calls: readonly JsonValue[],
  open: OpenToolCalls,
  seed: string,
): { readonly calls: readonly JsonValue[]; readonly open: OpenToolCalls } {
  let now = open
  const fitted = calls.map(call => {
    if (!isObject(call)) return call
    const place = typeof call.index === 'number' ? call.index : guessIndex(call, now)
    const known = now.get(place)
    const opened = known !== undefined && known !== open.get(place)
    if (known !== undefined && !isAnother(call, known, opened)) return fitContinuation(call, known)
    const index = nextIndex(now)
    checkToolCalls(index + 1)
    const taken = [...now.values()].map(({ id }) => id)
    const whole = fitToolCall(call, index, seed, taken)
    now = new Map(now).set(place, { id: String(whole.id), given: call.id, name: nameOf(whole) ?? '', index })
    return whole.index === index ? whole : { index, ...whole, ...(whole.index !== undefined && { index }) }
  })
  return fitted.every((call, at) => call === calls[at]) ? { calls, open: now } : { calls: fitted, open: now }
}

/** Gemini streams parallel calls whole and all with index 0, and has done so without ids. A name with another id is
 * another call; so is another name, and a name in the delta that has opened the call.
 *
 * @param opened Whether this delta has opened the call. */
function isAnother(call: JsonObject, known: OpenToolCall, opened: boolean): boolean {
  const name = nameOf(call)
  if (name === null) return false
  return opened || (isText(call.id) && call.id !== known.given) || (known.name !== '' && name !== known.name)
}

function guessIndex(call: JsonObject, open: OpenToolCalls): number {
  if (isText(call.id)) for (const [index, known] of open) if (known.given === call.id) return index
  return nameOf(call) !== null || open.size === 0 ? nextIndex(open) : Math.max(...open.keys())
}

function nextIndex(open: OpenToolCalls): number {
  let next = 0
  for (const known of open.values()) next = Math.max(next, known.index + 1)
  return next
}

function fitContinuation(call: JsonObject, known: OpenToolCall): JsonObject {
  const part = isObject(call.function) ? call.function : undefined
  const repeatsName = part !== undefined && 'name' in part && (!isText(part.name) || part.name === known.name)
  const repeatsId = 'id' in call && call.id !== undefined
  const isWhole = part?.arguments === undefined || typeof part.arguments === 'string'
  if (!repeatsName && !repeatsId && isWhole && call.index === known.index) return call
  const fitted = { ...call, index: known.index, id: undefined }
  if (!repeatsName && isWhole) return fitted
  const name = repeatsName ? undefined : part?.name
  return { ...fitted, function: { ...part, name, ...(!isWhole && { arguments: textOf(part?.arguments) }) } }
}

function fitFunction(value: JsonValue): JsonValue {
  if (!isObject(value)) return { name: '', arguments: '' }
  if (typeof value.arguments === 'string' && typeof value.name === 'string') return value
  return { ...value, name: typeof value.name === 'string' ? value.name : '', arguments: textOf(value.arguments) }
}

function textOf(given: JsonValue): string {
  if (given === undefined || given === null) return ''
  return typeof given === 'string' ? given : JSON.stringify(given)
}

function nameOf(call: JsonObject): string | null {
  const name = isObject(call.function) ? call.function.name : undefined
  return isText(name) ? name : null
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** Makes an id for a tool call that came without one: the same answer always gets the same ids. */
function toolCallId(seed: string, index: number): string {
  return `call_${sha256(`${seed}:${index}`).slice(0, 24)}`
}

/** Whether the gateway made the id of a tool call, so that it means nothing to the server. */
export function isMadeToolCallId(id: unknown): boolean {
  return typeof id === 'string' && /^call_[0-9a-f]{24}$/.test(id)
}

/** Makes the arguments of a call an object, for servers that accept nothing else. Models also write arguments that are
 * no object, and a conversation may contain them. */
export function toArguments(given: JsonValue): JsonObject {
  if (isObject(given)) return given
  if (typeof given !== 'string' || given.trim() === '') return {}
  const value = parseWithin(given)
  return isObject(value) ? value : { arguments: given }
}

/** Parses a text of a conversation that may be JSON; `undefined` when it is none, or nests more or has more members than
 * a body may: reading and writing that would hold up everybody. */
export function parseWithin(text: string): unknown {
  return excessIn(text, DEPTH_MAX, MEMBERS_MAX) === null ? parseExactly(text) : undefined
}
