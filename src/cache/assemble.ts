import type { Endpoint } from '#core/call.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** A value that goes on piece by piece. Lists and maps are our own and grow in place: to make them anew with each piece
 * would take minutes for a stream that names something new in each of its chunks. */
type Growing = JsonValue | Members
type Members = Map<string, Growing>

/** A choice on its way: what stands beside its content, its message, and its tool calls by their places. */
interface Choice {
  readonly rest: Members
  readonly message: Members
  readonly calls: Map<number, Members>
}

/** Puts the chunks of a whole stream together to the plain answer that they are pieces of. */
export function assemble(chunks: readonly JsonObject[], endpoint: Endpoint): JsonObject {
  const choices = new Map<number, Choice>()
  const add = endpoint === 'chat' ? addChatPiece : addTextPiece
  const head = new Map<string, JsonValue>()
  let usage: JsonValue
  for (const { choices: list, usage: count, ...rest } of chunks) {
    for (const [name, value] of Object.entries(rest)) if (!head.has(name)) head.set(name, value)
    if (isObject(count)) usage = count
    for (const piece of Array.isArray(list) ? list.filter(isObject) : []) {
      const index = typeof piece.index === 'number' ? piece.index : 0
      const choice = choices.get(index) ?? newChoice(index)
      choices.set(index, choice)
      add(choice, piece)
    }
  }
  const object = endpoint === 'chat' ? 'chat.completion' : 'text_completion'
  const finish = endpoint === 'chat' ? wholeChatChoice : wholeTextChoice
  const list = [...choices].sort(([a], [b]) => a - b).map(([, choice]) => finish(choice))
  return { ...Object.fromEntries(head), object, choices: list, ...(usage !== undefined && { usage }) }
}

function newChoice(index: number): Choice {
  return { rest: new Map([['index', index]]), message: new Map(), calls: new Map() }
}

function addChatPiece(choice: Choice, { delta, ...rest }: JsonObject): void {
  addRest(choice, rest)
  if (!isObject(delta)) return
  for (const [name, value] of Object.entries(delta)) {
    if (name === 'role') continue
    if (name !== 'tool_calls') choice.message.set(name, grown(choice.message.get(name), value))
    else if (Array.isArray(value)) addToolCalls(choice.calls, value)
  }
}

function addTextPiece(choice: Choice, { text, ...rest }: JsonObject): void {
  addRest(choice, rest)
  choice.rest.set('text', addText(choice.rest.get('text'), text))
}

function wholeChatChoice({ rest, message, calls }: Choice): JsonObject {
  const { content = null, refusal = null, ...more } = whole(message)
  const said = typeof content === 'string' && content !== ''
  const tools = [...calls.values()].map(whole)
  const called = tools.length > 0
  return {
    ...whole(rest),
    message: {
      role: 'assistant',
      content: called && !said ? null : content,
      refusal,
      ...more,
      ...(called && { tool_calls: tools }),
    },
  }
}

function wholeTextChoice({ rest }: Choice): JsonObject {
  return whole(rest)
}

/** What stands beside the content of a choice: log probabilities add up, of everything else the last value counts. */
function addRest({ rest }: Choice, piece: JsonObject): void {
  for (const [name, value] of Object.entries(piece)) {
    if (name === 'logprobs') rest.set(name, grown(rest.get(name), isObject(value) ? value : null))
    else if (value !== null || rest.get(name) === undefined) rest.set(name, value)
  }
}

/** Texts and lists go on where they were; an object, such as audio or a function call, goes on in each of its fields. */
function grown(before: Growing, value: JsonValue): Growing {
  if (value === null || value === undefined) return before ?? null
  if (typeof value === 'string') return addText(before, value)
  if (Array.isArray(value)) {
    const list = isOwnList(before) ? before : []
    for (const item of value) list.push(item)
    return list
  }
  if (!isObject(value)) return value
  const members: Members = before instanceof Map ? before : new Map()
  for (const [name, part] of Object.entries(value)) {
    members.set(name, name === 'id' ? part : grown(members.get(name), part))
  }
  return members
}

/** Of what grows every list was made here. */
function isOwnList(value: Growing): value is JsonValue[] {
  return Array.isArray(value)
}

function addText(before: Growing, text: JsonValue): Growing {
  if (typeof text !== 'string') return before ?? null
  return typeof before === 'string' ? before + text : text
}

/** What stands in a tool call and comes in pieces, and which of its members grows: the arguments of a function, the input
 * of a custom tool. */
const GROWING: ReadonlyMap<string, string> = new Map([
  ['function', 'arguments'],
  ['custom', 'input'],
])

/** Servers may count from any number. */
function addToolCalls(calls: Map<number, Members>, pieces: readonly JsonValue[]): void {
  for (const { index, ...rest } of pieces.filter(isObject)) {
    const at = typeof index === 'number' ? index : calls.size
    const call: Members = calls.get(at) ?? new Map()
    calls.set(at, call)
    for (const [name, value] of Object.entries(rest)) {
      const growing = GROWING.get(name)
      if (growing !== undefined && isObject(value)) addPart(call, { name, growing, value })
      else call.set(name, value)
    }
  }
}

function addPart(call: Members, of: { readonly name: string; readonly growing: string; readonly value: JsonObject }) {
  const before = call.get(of.name)
  const members: Members = before instanceof Map ? before : new Map()
  call.set(of.name, members)
  for (const [name, value] of Object.entries(of.value)) {
    members.set(name, name === of.growing ? addText(members.get(name), value) : value)
  }
}

/** The members as they are in the end. */
function whole(members: Members): JsonObject {
  return Object.fromEntries([...members].map(([name, value]) => [name, value instanceof Map ? whole(value) : value]))
}
