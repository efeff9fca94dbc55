import type { GatewayError } from './errors.ts'
import type { Usage } from './usage.ts'

/** What the gateway reads of a tool call in a delta or message. */
export interface ToolCallPart {
  readonly index?: number
  readonly id?: string
  readonly type?: string
  readonly function?: { readonly name?: string; readonly arguments?: string }
  readonly custom?: { readonly input?: unknown } | null
}

/** What the gateway reads of a delta (streamed) or message (plain); everything else passes through. */
export interface Delta {
  readonly role?: string | null
  readonly content?: unknown
  readonly reasoning_content?: string | null
  readonly reasoning?: string | null
  readonly refusal?: string | null
  readonly audio?: unknown
  readonly tool_calls?: readonly ToolCallPart[] | null
  readonly function_call?: { readonly arguments?: unknown } | null
}

export interface Choice {
  readonly index?: number
  readonly delta?: Delta
  readonly message?: Delta
  /** The text of `/v1/completions`. */
  readonly text?: string
  readonly finish_reason?: string | null
}

/** One chunk, or one whole plain answer, in OpenAI's format: only the fields that the gateway reads are named. */
export interface Chunk {
  readonly id?: string
  readonly object?: string
  readonly model?: string
  readonly choices?: readonly Choice[]
  readonly usage?: unknown
}

/** One event of an answer, translated: `text` is what goes to the caller, `chunk` what the gateway reads of it.
 *
 * `start` carries no content yet, `delta` content, `finish` ends a choice, `usage` only counts. Of a plain answer
 * there is exactly one frame, of kind `finish`, and `text` is its JSON body. */
export interface DataFrame {
  readonly kind: 'start' | 'delta' | 'finish' | 'usage'
  readonly text: string
  readonly chunk: Chunk
  readonly usage: Usage | null
  /** What the server has counted until here, where it says so before the end: the prompt, and perhaps some output. */
  readonly soFar?: Usage
}

/** The server said inside the stream that it failed. */
export interface ErrorFrame {
  readonly kind: 'error'
  readonly error: GatewayError
}

export type Frame = DataFrame | ErrorFrame

/** Whether a frame carries something a reader would see: it opens the commit gate. */
export function isContent(frame: DataFrame): boolean {
  return frame.kind === 'delta' || frame.kind === 'finish'
}

/** One list for all chunks: this runs for each frame and each of its readers, and lists of their own were most of what it
 * cost in time and memory. */
const NO_CALLS: readonly ToolCallPart[] = []

/** Counts the characters of content, reasoning, refusal and what is given to tools in a chunk. */
export function contentLength(chunk: Chunk): number {
  let length = 0
  for (const choice of chunk.choices ?? []) {
    const part = choice.delta ?? choice.message
    // Together says what a delta says beside it once more, as the text of a completion.
    if (part === undefined || part === null) {
      length += textLength(choice.text)
      continue
    }
    length += textLength(part.content)
    length += textLength(part.reasoning_content ?? part.reasoning) + textLength(part.refusal)
    for (const tool of part.tool_calls ?? NO_CALLS) length += textLength(tool.function?.arguments ?? tool.custom?.input)
    length += textLength(part.function_call?.arguments)
  }
  return length
}

/** The content of a chunk that people read. */
export function contentText(chunk: Chunk): string {
  let text = ''
  for (const choice of chunk.choices ?? []) {
    const part = choice.delta ?? choice.message
    const said: unknown = part === undefined || part === null ? choice.text : part.content
    if (typeof said === 'string') text += said
  }
  return text
}

function textLength(value: unknown): number {
  return typeof value === 'string' ? value.length : 0
}
