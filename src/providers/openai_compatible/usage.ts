import type { Usage } from '#core/usage.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** Reads OpenAI's usage, and what other servers made of it, as disjoint classes.
 *
 * @returns `null` when it says nothing: servers that do not count send zeros. */
export function fromUsage(raw: unknown): Usage | null {
  if (!isObject(raw)) return null
  const prompt = count(raw.prompt_tokens)
  const completion = count(raw.completion_tokens)
  if (prompt === 0 && completion === 0) return null
  const promptDetails = detailsOf(raw.prompt_tokens_details)
  // DeepSeek and Moonshot count the tokens that a prompt cache served at top level.
  const cached = promptDetails.cached_tokens ?? raw.prompt_cache_hit_tokens ?? raw.cached_tokens
  const cacheRead = Math.min(count(cached), prompt)
  const cacheWrite = Math.min(count(promptDetails.cache_write_tokens), prompt - cacheRead)
  // xAI and Gemini leave reasoning out of completion_tokens; only the total has it.
  const output = Math.max(completion, count(raw.total_tokens) - prompt)
  const reasoning = count(detailsOf(raw.completion_tokens_details).reasoning_tokens)
  return {
    input: prompt - cacheRead - cacheWrite,
    cacheRead,
    cacheWrite,
    output,
    reasoning: Math.min(reasoning || output - completion, output),
    estimated: false,
  }
}

function detailsOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

/** A number of tokens; 0 for what is none. */
function count(value: unknown): number {
  return typeof value === 'number' && value > 0 && Number.isFinite(value) ? Math.round(value) : 0
}

/** Where servers put the count of a stream: OpenAI at top level, Groq in its own object, Moonshot in a choice. */
export function usageOf(chunk: JsonObject, choices: readonly JsonValue[]): JsonValue {
  if (isObject(chunk.usage)) return chunk.usage
  if (isObject(chunk.x_groq) && isObject(chunk.x_groq.usage)) return chunk.x_groq.usage
  return choices.map(choice => (isObject(choice) ? choice.usage : null)).find(isObject) ?? null
}

/** A chunk or choice without the count in it. */
export function withoutUsage(chunk: JsonObject): JsonObject {
  const { usage, x_groq: groq, ...rest } = chunk
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
