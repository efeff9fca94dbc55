import type { CachedAnswer } from '#core/cache.ts'
import type { Call } from '#core/call.ts'
import { type Chunk, contentText, type DataFrame } from '#core/frame.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import { assemble } from './assemble.ts'
import { toChunks } from './chunks.ts'
import { withNullUsage } from './usage-fields.ts'

/** What a replay is called and when it was made, in Unix seconds: each is an answer of its own. */
export interface Fresh {
  readonly id: string
  readonly created: number
}

/** Frames that leave together, so many milliseconds after the first ones. */
export interface Beat {
  readonly frames: readonly DataFrame[]
  readonly atMs: number
}

/** Events that leave together when no pace is kept, in characters. */
const BEAT_CHARACTERS = 64 * 1024

/** The content of a stored answer that people read. */
export function storedText({ form, text }: CachedAnswer): string {
  const chunks = form === 'stream' ? chunksIn(text) : [parseJson(text)].filter(isObject)
  return chunks.map(contentText).join('')
}

/** Gives a stored answer again as one plain frame. */
export function replayPlain(answer: CachedAnswer, call: Call, fresh: Fresh): DataFrame {
  return frameOf('finish', refilled(answer, call, fresh), {}, answer.usage)
}

/** Gives a stored answer again as a stream, event by event as it came when it was one. Its frames say what is in them only
 * where its pace was kept. */
export function* replay(answer: CachedAnswer, call: Call, fresh: Fresh): Generator<Beat> {
  const { events, count } = answer.form === 'stream' ? { ...answer, events: answer.text } : streamOf(answer, call)
  let atMs = 0
  for (const [text, at] of pieces(events, answer.pace)) {
    const asked = call.wantsUsage ? withNullUsage(text) : text
    atMs = at
    const [chunk = {}] = answer.pace.length > 0 ? chunksIn(text) : []
    yield { frames: [frameOf('delta', renamed(asked, answer, fresh), chunk, null)], atMs }
  }
  yield { frames: [frameOf('usage', renamed(count, answer, fresh), {}, answer.usage)], atMs }
}

function frameOf(kind: DataFrame['kind'], text: string, chunk: Chunk, usage: DataFrame['usage']): DataFrame {
  return { kind, text, chunk, usage }
}

/** Cuts events into those that leave together, each with its moment. */
function* pieces(events: string, pace: readonly number[]): Generator<readonly [text: string, atMs: number]> {
  for (let from = 0, event = 0; from < events.length; event++) {
    const held = pace.length > 0 ? from : Math.min(from + BEAT_CHARACTERS, events.length - 2)
    const end = events.indexOf('\n\n', held) + 2
    yield [events.slice(from, end < 2 ? events.length : end), pace[event] ?? 0]
    from = end < 2 ? events.length : end
  }
}

function assembled(answer: CachedAnswer, { endpoint }: Call): string {
  return JSON.stringify(assemble(chunksIn(answer.text + answer.count), endpoint))
}

function streamOf(answer: CachedAnswer, { endpoint }: Call): { readonly events: string; readonly count: string } {
  const whole = parseJson(answer.text)
  const { content, count } = toChunks(isObject(whole) ? whole : {}, endpoint)
  return { events: content.map(toEvent).join(''), count: count === null ? '' : toEvent(count) }
}

function toEvent(chunk: JsonObject): string {
  return writeSse(JSON.stringify(chunk))
}

function chunksIn(events: string): JsonObject[] {
  return events
    .split('\n\n')
    .map(event => parseJson(event.slice('data: '.length)))
    .filter(isObject)
}

/** The text with a new id and time wherever the old ones stand. Quotes inside a string are escaped, so that what is
 * found is a member and never content. */
function renamed(text: string, { id, created }: CachedAnswer, fresh: Fresh): string {
  const named = id === '' ? text : apart(text, 'id', JSON.stringify(id)).join(idMember(fresh))
  return created === 0 ? named : apart(named, 'created', String(created)).join(createdMember(fresh))
}

/** Of a plain answer the text between the old ids, each piece cut where the old times stood. What a stream becomes is less
 * than its events, so that the answer is hardly larger for it. */
const gaps = new WeakMap<CachedAnswer, readonly (readonly string[])[]>()

/** The text of a plain answer with a new id and time: it is given again and again, and made and searched once. */
function refilled(answer: CachedAnswer, call: Call, fresh: Fresh): string {
  let known = gaps.get(answer)
  if (known === undefined) {
    const { id, created } = answer
    const text = answer.form === 'stream' ? assembled(answer, call) : answer.text
    const between = id === '' ? [text] : apart(text, 'id', JSON.stringify(id))
    known = between.map(piece => (created === 0 ? [piece] : apart(piece, 'created', String(created))))
    gaps.set(answer, known)
  }
  const [id, created] = [idMember(fresh), createdMember(fresh)]
  // Added up, because joining lists for each hit costs several times as much.
  let text = ''
  for (const [at, pieces] of known.entries()) {
    if (at > 0) text += id
    for (const [of, piece] of pieces.entries()) text += of > 0 ? created + piece : piece
  }
  return text
}

/** A text cut where a member stands, written with a space or without. */
function apart(text: string, name: string, value: string): readonly string[] {
  if (text.length < name.length + value.length) return [text]
  const compact = text.split(`"${name}":${value}`)
  return compact.length > 1 ? compact : text.split(`"${name}": ${value}`)
}

function idMember({ id }: Fresh): string {
  return `"id":"${id}"`
}

function createdMember({ created }: Fresh): string {
  return `"created":${created}`
}
