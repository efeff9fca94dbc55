import type { Choice, Chunk, DataFrame, Delta, ToolCallPart } from '#core/frame.ts'

/** What is remembered of one answer; a longer one is passed on, but cannot be recovered. */
const CHARACTERS_MAX = 256 * 1024

/** What all chunks of one answer share. */
export type ChunkHead = Pick<Chunk, 'id' | 'model'> & { readonly created?: unknown }

/** What a caller has been given of one choice. */
export interface Passage {
  /** By channel: `content`, `reasoning`, `refusal`, `text`, and the name and arguments of each tool call. */
  readonly texts: ReadonlyMap<string, string>
  /** The tokens whose log probabilities were given. */
  readonly tokens: readonly string[]
  readonly finished: boolean
}

/** What a caller has been given of an answer. */
export interface Transcript {
  readonly head: ChunkHead | null
  readonly choices: ReadonlyMap<number, Passage>
  /** Characters over all choices and channels. */
  readonly characters: number
  /** Whether another stream can be compared with it: not when it grew too long, or carried what is no text. */
  readonly comparable: boolean
}

/** The channels of a delta that are plain text. */
export const TEXT_CHANNELS = ['content', 'reasoning_content', 'reasoning', 'refusal'] as const

const DELTA_KEYS: ReadonlySet<string> = new Set(['role', 'tool_calls', ...TEXT_CHANNELS])
const TOOL_KEYS: ReadonlySet<string> = new Set(['index', 'id', 'type', 'function'])

interface Memory extends Passage {
  readonly texts: Map<string, string>
  readonly tokens: string[]
  finished: boolean
}

/** Creates an empty transcript; `note` remembers what one more frame gives to the caller. */
export function createTranscript(): Transcript & { note(frame: DataFrame): void } {
  const choices = new Map<number, Memory>()
  let head: ChunkHead | null = null
  let characters = 0
  let comparable = true

  function append(memory: Memory, channel: string, text: string): void {
    characters += text.length
    memory.texts.set(channel, (memory.texts.get(channel) ?? '') + text)
  }

  function noteChoice(choice: Choice): void {
    const index = choice.index ?? 0
    let memory = choices.get(index)
    if (memory === undefined) {
      memory = { texts: new Map(), tokens: [], finished: false }
      choices.set(index, memory)
    }
    for (const [channel, text] of textsOf(choice)) {
      append(memory, channel, text)
      if (text === '' && channel.endsWith(' name')) comparable = false
    }
    for (const token of tokensOf(choice)) memory.tokens.push(token)
    if (choice.finish_reason) memory.finished = true
    if (isOpaque(choice)) comparable = false
  }

  /** The typical chunk, one piece of content and nothing else, without anything built for it. */
  function notePlain(list: readonly Choice[]): boolean {
    const [choice] = list
    if (choice === undefined || list.length !== 1 || choice.finish_reason || hasLogprobs(choice)) return false
    const delta = choice.delta as Readonly<Record<string, unknown>> | undefined
    if (delta === undefined || typeof delta.content !== 'string') return false
    for (const key in delta) if (key !== 'content' && key !== 'role' && delta[key] !== null) return false
    const memory = choices.get(choice.index ?? 0)
    if (memory === undefined) return false
    append(memory, 'content', delta.content)
    return true
  }

  return {
    choices,
    get head() {
      return head
    },
    get characters() {
      return characters
    },
    get comparable() {
      return comparable
    },
    note({ chunk }) {
      if (!comparable) return
      const list = chunk.choices ?? []
      head ??= headOf(chunk)
      if (!notePlain(list)) for (const choice of list) noteChoice(choice)
      if (characters > CHARACTERS_MAX) comparable = false
      // What cannot be compared need not be kept.
      if (!comparable) choices.clear()
    },
  }
}

/** The pieces of text that a choice brings, by channel; a tool call that begins has its name, be it empty. */
export function textsOf(choice: Choice): readonly (readonly [channel: string, text: string])[] {
  const texts: [string, string][] = []
  if (typeof choice.text === 'string') texts.push(['text', choice.text])
  const delta: Delta = choice.delta ?? {}
  for (const channel of TEXT_CHANNELS) {
    const text = delta[channel]
    if (typeof text === 'string' && text !== '') texts.push([channel, text])
  }
  for (const [at, tool] of (delta.tool_calls ?? []).entries()) {
    const { name, arguments: given } = tool.function ?? {}
    if (name !== undefined) texts.push([toolChannel(tool, at, 'name'), name])
    if (given !== undefined && given !== '') texts.push([toolChannel(tool, at, 'arguments'), given])
  }
  return texts
}

/** The channel of a tool call's name or arguments. */
export function toolChannel(tool: ToolCallPart, at: number, part: 'name' | 'arguments'): string {
  return `tool ${tool.index ?? at} ${part}`
}

/** The tokens of which a choice gives log probabilities. */
export function tokensOf(choice: Choice): readonly string[] {
  return hasLogprobs(choice) ? (logprobEntries(choice) ?? []).map(entry => String(entry.token)) : []
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
  for (const channel of TEXT_CHANNELS) if (typeof delta[channel] !== 'string' && !isEmpty(delta[channel])) return true
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

function hasLogprobs(choice: Choice): boolean {
  return !isEmpty((choice as { readonly logprobs?: unknown }).logprobs)
}

/** Whether a value says nothing: absent, an empty text or list. */
export function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
}

function headOf(chunk: Chunk): ChunkHead | null {
  const { id, model, created } = chunk as ChunkHead
  return id ? { id, model, created } : null
}
