import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { toArguments } from '../openai_compatible/tool-calls.ts'
import { refuseUntakable } from '../unsupported.ts'
import { toBlocks } from './content.ts'
import { isThought, toThinkingBlocks } from './reasoning.ts'
import { malformed } from './unsupported.ts'

/** One turn of a conversation as the API has it: roles alternate, the user's comes first. */
export interface Turn {
  readonly role: 'user' | 'assistant'
  readonly content: JsonObject[]
}

/** A conversation in Anthropic's shape. */
export interface Conversation {
  readonly system: readonly JsonObject[]
  readonly turns: readonly Turn[]
}

/** Translates the messages of a chat: instructions apart, results of tools into the user's turns, neighbours of one
 * role into one turn.
 *
 * @param thinks Whether the model's earlier thoughts go back to it. */
export function toConversation(messages: JsonValue, thinks: boolean): Conversation {
  const system: JsonObject[] = []
  const turns: Turn[] = []
  for (const [at, message] of (Array.isArray(messages) ? messages : []).entries()) {
    if (!isObject(message)) continue
    const place = `messages.${at}`
    if (message.role === 'system' || message.role === 'developer') {
      system.push(...withMark(toBlocks(message.content, `${place}.content`), message))
      continue
    }
    const content = withMark(toTurnBlocks(message, place, thinks), message)
    if (content.length === 0) continue
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const last = turns.at(-1)
    if (last?.role === role) last.content.splice(message.role === 'tool' ? resultsOf(last) : Infinity, 0, ...content)
    else turns.push({ role, content: [...content] })
  }
  return begin({ system, turns: turns.map((turn, at) => (at === turns.length - 1 ? trimEnd(turn) : turn)) })
}

/** How many results of tools a turn begins with: the API wants them before all that the user says. */
function resultsOf({ content }: Turn): number {
  const end = content.findIndex(block => block.type !== 'tool_result')
  return end < 0 ? content.length : end
}

/** Makes a turn of the user the first, as the API requires: OpenAI's conversations may hold instructions only, or begin
 * with a greeting of the assistant. */
function begin({ system, turns }: Conversation): Conversation {
  if (turns.length === 0 && system.length > 0) return { system: [], turns: [{ role: 'user', content: [...system] }] }
  if (turns[0]?.role !== 'assistant') return { system, turns }
  return { system, turns: [{ role: 'user', content: [{ type: 'text', text: '.' }] }, ...turns] }
}

/** The API refuses a last text of the assistant that ends with white space. */
function trimEnd(turn: Turn): Turn {
  const last = turn.content.at(-1)
  if (turn.role !== 'assistant' || typeof last?.text !== 'string') return turn
  return { role: turn.role, content: [...turn.content.slice(0, -1), { ...last, text: last.text.trimEnd() }] }
}

function toTurnBlocks(message: JsonObject, place: string, thinks: boolean): readonly JsonObject[] {
  if (message.role === 'tool') return [toToolResult(message, `${place}.content`)]
  if (message.role === 'assistant') return toAnswerBlocks(message, place, thinks)
  if (message.role === 'user') return toBlocks(message.content, `${place}.content`)
  throw malformed(`${place}.role`, 'must be system, developer, user, assistant or tool')
}

/** Puts the mark for the cache of a whole message on its last block, where the API looks for it, unless that has one. */
function withMark(blocks: readonly JsonObject[], { cache_control }: JsonObject): readonly JsonObject[] {
  const last = blocks.at(-1)
  if (last === undefined || !isObject(cache_control)) return blocks
  return [...blocks.slice(0, -1), { cache_control, ...last }]
}

/** The API takes a mark for the cache on the result itself, and refuses one inside it, where callers put theirs. */
function toToolResult(message: JsonObject, place: string): JsonObject {
  const blocks = toBlocks(message.content, place)
  const cache_control = blocks.map(block => block.cache_control).find(isObject)
  const content = blocks.map(({ cache_control: _, ...block }) => block)
  return {
    type: 'tool_result',
    tool_use_id: toToolId(message.tool_call_id),
    ...(content.length > 0 && { content }),
    ...(message.is_error === true && { is_error: true }),
    ...(cache_control !== undefined && { cache_control }),
  }
}

function toAnswerBlocks(message: JsonObject, place: string, thinks: boolean): readonly JsonObject[] {
  refuseUntakable(message, place)
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls.filter(isObject) : []
  const text = toBlocks(message.content, `${place}.content`)
  const said = text.length > 0 ? text : toBlocks(message.refusal, `${place}.refusal`)
  const blocks = [...said, ...calls.map(toToolUse)]
  if (!thinks) return blocks
  // Each thought goes back to the place that it had among the blocks.
  for (const { at, block } of toThinkingBlocks(message.reasoning_details)) blocks.splice(at, 0, block)
  // The API refuses a message that ends with a thought, as one does that was cut off while the model thought.
  return blocks.slice(0, 1 + blocks.findLastIndex(block => !isThought(block)))
}

function toToolUse(call: JsonObject): JsonObject {
  const { name, arguments: given } = isObject(call.function) ? call.function : {}
  return { type: 'tool_use', id: toToolId(call.id), name, input: toArguments(given) }
}

/** Ids of other servers may hold characters that the API refuses, such as `functions.weather:0`. */
function toToolId(id: JsonValue): string {
  return String(id ?? '').replace(/[^a-zA-Z0-9_-]/g, '_')
}
