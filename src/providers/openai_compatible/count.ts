import type { Chunk, DataFrame } from '#core/frame.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import type { Count } from '../count.ts'
import { fromUsage } from './usage.ts'

/** Finds the count in a chunk: OpenAI has it at top level, Groq in its own object, Moonshot in a choice.
 *
 * @param tier The tier of service that the stream has told. */
export function countOf(chunk: JsonObject, choices: readonly JsonValue[], tier: JsonValue): Count | null {
  const groq = isObject(chunk.x_groq) ? chunk.x_groq.usage : undefined
  const raw = [chunk.usage, groq, ...choices.map(choice => (isObject(choice) ? choice.usage : null))].find(isObject)
  const usage = fromUsage(raw, tier)
  return usage === null || raw === undefined ? null : { raw, usage }
}

/** The count as a chunk of its own, with no choices, as OpenAI sends it.
 *
 * @param from The chunk that brought it, or the head of the answer.
 * @param text The text of that chunk, when it may go on as it is. */
export function toUsageFrame(count: Count, from: JsonObject, object: string, text: string | null): DataFrame {
  const isWhole = text !== null && from.usage === count.raw && Array.isArray(from.choices) && from.choices.length === 0
  const chunk = isWhole ? from : { ...withoutUsage(from), object, choices: [], usage: count.raw }
  const own = isWhole ? text : JSON.stringify(chunk)
  return { kind: 'usage', text: writeSse(own), chunk: chunk as Chunk, usage: count.usage }
}

/** A chunk or choice without the count in it. */
export function withoutUsage(chunk: JsonObject): JsonObject {
  const { usage: _, x_groq: groq, ...rest } = chunk
  return isObject(groq) ? { ...rest, x_groq: { ...groq, usage: undefined } } : rest
}

/** The text of a chunk without `"usage":null`, which a caller that did not ask for usage does not expect. */
export function withoutNullUsage(text: string, chunk: JsonObject): string {
  // Inside a string every quote is escaped, so this can only be a member.
  for (const member of [',"usage":null', ', "usage": null']) {
    const at = text.lastIndexOf(member)
    if (at >= 0) return text.slice(0, at) + text.slice(at + member.length)
  }
  return JSON.stringify(withoutUsage(chunk))
}
