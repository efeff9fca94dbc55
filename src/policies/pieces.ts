import type { TextField } from '#core/bypass.ts'
import type { Choice, Delta, ToolCallPart } from '#core/frame.ts'

/** The fields of a delta that are plain text. */
export const TEXT_FIELDS: readonly TextField[] = ['content', 'reasoning_content', 'reasoning', 'refusal']

const DELTA_KEYS: ReadonlySet<string> = new Set(['role', 'tool_calls', ...TEXT_FIELDS])
const TOOL_KEYS: ReadonlySet<string> = new Set(['index', 'id', 'type', 'function'])

/** The pieces of text in a choice, by channel. A tool call that begins has its name as a piece, even an empty one. */
export function textsOf(choice: Choice): readonly (readonly [channel: string, text: string])[] {
  const texts: [string, string][] = []
  if (typeof choice.text === 'string') texts.push(['text', choice.text])
  const delta: Delta = choice.delta ?? {}
  for (const field of TEXT_FIELDS) {
    const text = delta[field]
    if (typeof text !== 'string' || text === '') continue
    if (field !== 'reasoning' || isEmpty(delta.reasoning_content)) texts.push([channelOf(field), text])
  }
  for (const [at, tool] of (delta.tool_calls ?? []).entries()) {
    const { name, arguments: given } = tool.function ?? {}
    if (name !== undefined) texts.push([toolChannel(tool, at, 'name'), name])
    if (given !== undefined && given !== '') texts.push([toolChannel(tool, at, 'arguments'), given])
  }
  return texts
}

/** The channel of a field. Reasoning has two field names, and some answers send it in both. */
export function channelOf(field: TextField): string {
  return field === 'reasoning' ? 'reasoning_content' : field
}

/** The channel of a tool call's name or arguments. */
export function toolChannel(tool: ToolCallPart, at: number, part: 'name' | 'arguments'): string {
  return `tool ${tool.index ?? at} ${part}`
}

/** The tokens of which a choice gives log probabilities. */
export function tokensOf(choice: Choice): readonly string[] {
  return (logprobEntries(choice) ?? []).map(entry => String(entry.token))
}

/** The entries of a choice's log probabilities as chat gives them; `null` when they have another shape. */
export function logprobEntries(choice: Choice): readonly { readonly token?: unknown }[] | null {
  const { logprobs } = choice as { readonly logprobs?: { readonly content?: unknown } | null }
  return Array.isArray(logprobs?.content) ? logprobs.content : null
}

/** Whether a choice carries something that cannot be compared piece by piece: audio, a legacy function call, parts
 * instead of text, signatures, log probabilities of anything but content. */
export function isOpaque(choice: Choice): boolean {
  const delta = (choice.delta ?? {}) as Readonly<Record<string, unknown>>
  for (const key in delta) if (!DELTA_KEYS.has(key) && !isEmpty(delta[key])) return true
  for (const field of TEXT_FIELDS) if (typeof delta[field] !== 'string' && !isEmpty(delta[field])) return true
  if (choice.delta?.tool_calls?.some(isOpaqueTool)) return true
  if (!isEmpty((choice as { readonly reasoning_content?: unknown }).reasoning_content)) return true
  const { logprobs } = choice as { readonly logprobs?: { readonly refusal?: unknown } | null }
  return hasLogprobs(choice) && (logprobEntries(choice) === null || !isEmpty(logprobs?.refusal))
}

function isOpaqueTool(tool: ToolCallPart): boolean {
  const call = tool as Readonly<Record<string, unknown>>
  for (const key in call) if (!TOOL_KEYS.has(key) && !isEmpty(call[key])) return true
  return tool.type !== undefined && tool.type !== null && tool.type !== 'function'
}

/** Whether a choice carries log probabilities, of whatever shape. */
export function hasLogprobs(choice: Choice): boolean {
  return !isEmpty((choice as { readonly logprobs?: unknown }).logprobs)
}

/** Whether a value is empty: absent, an empty text or an empty list. */
export function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
}
