import type { CachedAnswer } from '#core/cache.ts'
import type { Call } from '#core/call.ts'
import { type Choice, contentLength, type DataFrame, type Frame } from '#core/frame.ts'
import type { Usage } from '#core/usage.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { withoutNullUsage } from './usage-fields.ts'

/** How a choice ends that a caller would want again: not cut off by a limit, and not taken away by a filter. */
const WHOLE: ReadonlySet<string> = new Set(['stop', 'tool_calls', 'function_call'])

/** The part of a stored answer that the answer itself says. */
export type Captured = Pick<CachedAnswer, 'form' | 'text' | 'count' | 'id' | 'created' | 'usage' | 'characters'>

/** Takes from all the frames of an answer what is kept of it; `null` unless it is whole and free of errors. */
export function capture(frames: readonly Frame[], call: Pick<Call, 'stream' | 'body'>): Captured | null {
  const [first] = frames
  if (first === undefined || first.kind === 'error') return null
  if (!call.stream) return areWhole(first.chunk.choices ?? [], call.body) ? plain(first) : null
  const said = frames.filter(isData)
  const choices = said.flatMap(frame => frame.chunk.choices ?? [])
  return said.length === frames.length && areWhole(choices, call.body) ? streamed(said) : null
}

function plain(frame: DataFrame): Captured {
  const { text, usage, chunk } = frame
  const { id, created } = headOf([frame])
  return { form: 'plain', text, count: '', id, created, usage, characters: contentLength(chunk) }
}

function streamed(frames: readonly DataFrame[]): Captured {
  let text = ''
  let count = ''
  let usage: Usage | null = null
  for (const frame of frames) {
    if (frame.kind === 'usage') count += frame.text
    else text += frame.text
    usage = frame.usage ?? usage
  }
  const { id, created } = headOf(frames)
  return { form: 'stream', text: withoutNullUsage(text), count, id, created, usage, characters: lengthOf(frames) }
}

/** Whether as many choices as were asked for began, and each of them ended well. */
function areWhole(choices: readonly Choice[], { n }: JsonObject): boolean {
  const [only] = choices
  if (choices.length === 1 && n === undefined) return WHOLE.has(only?.finish_reason ?? '')
  const reasons = new Map<number, string | null>()
  for (const { index = 0, finish_reason } of choices) reasons.set(index, finish_reason || (reasons.get(index) ?? null))
  for (const reason of reasons.values()) if (reason === null || !WHOLE.has(reason)) return false
  return reasons.size >= (typeof n === 'number' ? n : 1)
}

function headOf(frames: readonly DataFrame[]): Pick<Captured, 'id' | 'created'> {
  for (const { chunk } of frames) {
    if (!isObject(chunk) || typeof chunk.id !== 'string') continue
    return { id: chunk.id, created: typeof chunk.created === 'number' ? chunk.created : 0 }
  }
  return { id: '', created: 0 }
}

function lengthOf(frames: readonly DataFrame[]): number {
  let characters = 0
  for (const { chunk } of frames) characters += contentLength(chunk)
  return characters
}

function isData(frame: Frame): frame is DataFrame {
  return frame.kind !== 'error'
}
