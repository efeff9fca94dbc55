import type { CachedAnswer } from '#core/cache.ts'
import { type Call, choicesAsked } from '#core/call.ts'
import { type Chunk, contentLength, type DataFrame, type Frame } from '#core/frame.ts'
import type { Usage } from '#core/usage.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { withoutNullUsage } from './usage-fields.ts'

/** How a choice ends that a caller would want again: not cut off by a limit, and not taken away by a filter. */
const WHOLE: ReadonlySet<string> = new Set(['stop', 'tool_calls', 'function_call'])

/** The part of a stored answer that the answer itself says. */
export type Captured = Pick<CachedAnswer, 'form' | 'text' | 'count' | 'id' | 'created' | 'usage' | 'characters'>

/** Takes from all the frames of an answer what is kept of it; `null` unless it is whole and free of errors. */
export function capture(frames: readonly Frame[], call: Pick<Call, 'stream' | 'body' | 'wantsUsage'>): Captured | null {
  if (call.stream) return streamed(frames, call)
  const [first] = frames
  return first === undefined || first.kind === 'error' ? null : plain(first, call.body)
}

function plain({ text, usage, chunk }: DataFrame, body: JsonObject): Captured | null {
  const ends = new Ends()
  ends.note(chunk)
  if (!ends.areWhole(body)) return null
  const { id, created } = headOf(chunk) ?? NO_HEAD
  return { form: 'plain', text, count: '', id, created, usage, characters: contentLength(chunk) }
}

function streamed(frames: readonly Frame[], { body, wantsUsage }: Pick<Call, 'body' | 'wantsUsage'>): Captured | null {
  const ends = new Ends()
  const texts: string[] = []
  let count = ''
  let usage: Usage | null = null
  let characters = 0
  let head: Head | null = null
  for (const frame of frames) {
    if (frame.kind === 'error') return null
    if (frame.kind === 'usage') count += frame.text
    else texts.push(frame.text)
    usage = frame.usage ?? usage
    head ??= headOf(frame.chunk)
    characters += contentLength(frame.chunk)
    ends.note(frame.chunk)
  }
  if (!ends.areWhole(body)) return null
  // One text of its own, rather than a chain of all the pieces that came. Who wants no count is not sent an empty one.
  const text = wantsUsage ? withoutNullUsage(texts.join('')) : texts.join('')
  const { id, created } = head ?? NO_HEAD
  return { form: 'stream', text, count, id, created, usage, characters }
}

/** How the choices of an answer end. Nearly all answers have one. */
class Ends {
  private first: string | null = null
  private others: Map<number, string | null> | null = null
  private begun = false

  note({ choices }: Chunk): void {
    if (choices === undefined) return
    for (const { index = 0, finish_reason } of choices) {
      const reason = finish_reason || null
      if (index === 0) {
        this.begun = true
        this.first = reason ?? this.first
      } else {
        this.others ??= new Map()
        this.others.set(index, reason ?? this.others.get(index) ?? null)
      }
    }
  }

  /** Whether as many choices as were asked for began, and each of them ended well. */
  areWhole(body: JsonObject): boolean {
    if (this.begun && !isWhole(this.first)) return false
    const others = this.others === null ? NOBODY : [...this.others.values()]
    const count = others.length + (this.begun ? 1 : 0)
    return others.every(isWhole) && count >= choicesAsked(body)
  }
}

const NOBODY: readonly (string | null)[] = []

function isWhole(reason: string | null): boolean {
  return reason !== null && WHOLE.has(reason)
}

type Head = Pick<Captured, 'id' | 'created'>
const NO_HEAD: Head = { id: '', created: 0 }

function headOf(chunk: Chunk): Head | null {
  if (!isObject(chunk) || typeof chunk.id !== 'string') return null
  return { id: chunk.id, created: typeof chunk.created === 'number' ? chunk.created : 0 }
}
