import type { Said } from '#core/bypass.ts'
import type { Choice, Chunk, DataFrame } from '#core/frame.ts'
import { channelOf, hasLogprobs, isOpaque, textsOf, tokensOf } from './pieces.ts'

/** How many characters of one answer are remembered. A longer answer is passed on, but cannot be recovered. */
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

/** What a caller has been given of an answer, for comparison with another stream. */
export interface Transcript {
  readonly head: ChunkHead | null
  readonly choices: ReadonlyMap<number, Passage>
  /** Characters over all choices and channels. */
  readonly characters: number
  /** Whether another stream can be compared with it: not when it grew too long, or carried anything but text. */
  readonly comparable: boolean
}

interface Memory extends Passage {
  readonly texts: Map<string, string>
  readonly tokens: string[]
  finished: boolean
}

/** A transcript that is being written. */
interface OpenTranscript extends Transcript {
  /** Remembers what one more frame gives the caller. */
  note(frame: DataFrame): void
  /** Remembers events that only add text to what an earlier frame began. */
  say(said: Said): void
}

/** Creates an empty transcript. */
export function createTranscript(): OpenTranscript {
  const choices = new Map<number, Memory>()
  let head: ChunkHead | null = null
  let characters = 0
  /** The characters of the tokens, which may arrive without the text that they make up. */
  let tokenCharacters = 0
  let comparable = true
  /** The text that was added last in one place and is not stored there yet. */
  let saying: Pick<Said, 'choice' | 'field'> | null = null
  let unwritten = ''

  function append(memory: Memory, channel: string, text: string): void {
    characters += text.length
    memory.texts.set(channel, (memory.texts.get(channel) ?? '') + text)
  }

  function memoryOf(index: number): Memory {
    const known = choices.get(index)
    if (known !== undefined) return known
    const memory = { texts: new Map(), tokens: [], finished: false }
    choices.set(index, memory)
    return memory
  }

  function putDown(): void {
    if (saying === null) return
    append(memoryOf(saying.choice), channelOf(saying.field), unwritten)
    saying = null
    unwritten = ''
    bound()
  }

  /** Drops the texts of an answer that cannot be compared any more. */
  function bound(): void {
    if (characters > CHARACTERS_MAX || tokenCharacters > CHARACTERS_MAX) comparable = false
    if (!comparable) choices.clear()
  }

  function noteChoice(choice: Choice): void {
    const memory = memoryOf(choice.index ?? 0)
    for (const [channel, text] of textsOf(choice)) {
      append(memory, channel, text)
      if (text === '' && channel.endsWith(' name')) comparable = false
    }
    for (const token of tokensOf(choice)) {
      memory.tokens.push(token)
      tokenCharacters += Math.max(1, token.length)
    }
    if (choice.finish_reason) memory.finished = true
    if (isOpaque(choice)) comparable = false
  }

  /** Handles the typical chunk, one piece of content and nothing else, without allocating anything. */
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
    get choices() {
      putDown()
      return choices
    },
    get head() {
      return head
    },
    get characters() {
      return characters + unwritten.length
    },
    get comparable() {
      putDown()
      return comparable
    },
    note({ chunk }) {
      putDown()
      if (!comparable) return
      const list = chunk.choices ?? []
      head ??= headOf(chunk)
      if (!notePlain(list)) for (const choice of list) noteChoice(choice)
      bound()
    },
    say(said) {
      if (!comparable) return
      const isElsewhere = saying === null || saying.choice !== said.choice || saying.field !== said.field
      if (isElsewhere || unwritten.length > CHARACTERS_MAX) putDown()
      saying ??= { choice: said.choice, field: said.field }
      unwritten += said.text
    },
  }
}

function headOf(chunk: Chunk): ChunkHead | null {
  const { id, model, created } = chunk as ChunkHead
  return id ? { id, model, created } : null
}
