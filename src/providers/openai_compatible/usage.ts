import { tokenCount, type Usage } from '#core/usage.ts'
import { isObject, type JsonObject } from '#lib/json.ts'

/** Reads OpenAI's usage, and other servers' variants of it, as disjoint classes.
 *
 * @returns `null` when it has no count: servers that do not count send zeros. */
export function fromUsage(raw: unknown): Usage | null {
  if (!isObject(raw)) return null
  const prompt = tokenCount(raw.prompt_tokens)
  const completion = tokenCount(raw.completion_tokens)
  if (prompt === 0 && completion === 0) return null
  const promptDetails = detailsOf(raw.prompt_tokens_details)
  // DeepSeek and Moonshot count the tokens that a prompt cache served at top level.
  const cached = promptDetails.cached_tokens ?? raw.prompt_cache_hit_tokens ?? raw.cached_tokens
  const cacheRead = Math.min(tokenCount(cached), prompt)
  const cacheWrite = Math.min(tokenCount(promptDetails.cache_write_tokens), prompt - cacheRead)
  // xAI and Gemini leave reasoning out of completion_tokens; only the total has it.
  const output = Math.max(completion, tokenCount(raw.total_tokens) - prompt)
  const reasoning = tokenCount(detailsOf(raw.completion_tokens_details).reasoning_tokens)
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
