import { assemble } from '#cache/assemble.ts'
import { toChunks } from '#cache/chunks.ts'
import { withNullUsage, withoutNullUsage } from '#cache/usage-fields.ts'
import type { Live } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import { invalidAnswer } from '#providers/upstream-error.ts'

/** The parts of a call that decide the form of its answer. */
type Form = Pick<Call, 'stream' | 'wantsUsage'>

/** The longest stream that is turned into a plain answer, in characters; the same limit as for plain answers. */
const CHARACTERS_MAX = 16 * 1024 * 1024

/** Converts an answer that another caller asked for into the form that this call asks for. */
export function convert(live: Live, from: Form, call: Call): Live {
  if (from.stream !== call.stream) return given(live, from.stream ? toPlain(live, call) : toStream(live, call))
  if (!call.stream || from.wantsUsage === call.wantsUsage) return live
  const fit = call.wantsUsage ? withNullUsage : withoutNullUsage
  const fitted = (frame: Frame) =>
    frame.kind === 'error' || frame.kind === 'usage' ? frame : { ...frame, text: fit(frame.text) }
  return given(live, async () => (await live.next()).map(fitted))
}

/** The same answer with its frames read in another way. */
export function given(live: Live, next: Live['next']): Live {
  return { target: live.target, model: live.model, next, close: () => live.close() }
}

/** Reads a stream to its end and gives it as one frame. If there is an error in it, or it does not end, it gives only
 * the error. */
function toPlain(live: Live, { endpoint }: Call): Live['next'] {
  return async () => {
    const chunks: JsonObject[] = []
    let last: DataFrame | null = null
    let characters = 0
    for (let frames = await live.next(); frames.length > 0; frames = await live.next()) {
      for (const frame of frames) {
        if (frame.kind === 'error') return [frame]
        characters += frame.text.length
        if (characters > CHARACTERS_MAX) return [{ kind: 'error', error: invalidAnswer('a stream without end') }]
        if (isObject(frame.chunk)) chunks.push(frame.chunk)
        if (last === null || frame.usage !== null) last = frame
      }
    }
    const answer = assemble(chunks, endpoint)
    return [{ kind: 'finish', text: JSON.stringify(answer), chunk: answer, usage: last?.usage ?? null }]
  }
}

/** Gives a plain answer as the events of a stream. */
function toStream(live: Live, { endpoint, wantsUsage }: Call): Live['next'] {
  let given = false
  return async () => {
    if (given) return []
    given = true
    const [frame] = await live.next()
    if (frame === undefined || frame.kind === 'error') return frame === undefined ? [] : [frame]
    const whole = parseJson(frame.text)
    const { content, count } = toChunks(isObject(whole) ? whole : {}, endpoint)
    const events = content.map(chunk => toFrame('delta', chunk, wantsUsage))
    if (count === null) return events
    return [...events, { ...toFrame('usage', count, false), usage: frame.usage }]
  }
}

function toFrame(kind: DataFrame['kind'], chunk: JsonObject, nullUsage: boolean): DataFrame {
  const text = writeSse(JSON.stringify(chunk))
  return { kind, text: nullUsage ? withNullUsage(text) : text, chunk, usage: null }
}
