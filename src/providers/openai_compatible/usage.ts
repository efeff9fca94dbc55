import { servedAs, withServed } from '#core/service-tier.ts'
import { tokenCount, type Usage, withParts } from '#core/usage.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** Reads OpenAI's usage, and other servers' variants of it, as disjoint classes.
 *
 * @param tier The tier of service as the answer tells it; gateways in front of Anthropic tell it, and the speed and the
 * place, within the usage.
 * @returns `null` when it has no count: servers that do not count send zeros. */
export function fromUsage(raw: unknown, tier?: JsonValue): Usage | null {
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
  const { reasoning_tokens, audio_tokens: spoken } = detailsOf(raw.completion_tokens_details)
  const reasoning = tokenCount(reasoning_tokens)
  const counted = {
    input: prompt - cacheRead - cacheWrite,
    cacheRead,
    cacheWrite,
    output,
    reasoning: Math.min(reasoning || output - completion, output),
    estimated: false,
  }
  const usage = withServed(
    counted,
    servedAs(raw.speed === 'fast' ? raw.speed : (raw.service_tier ?? tier), raw.inference_geo),
  )
  const { audio_tokens: heard, cached_tokens_details: inCache } = promptDetails
  return heard || spoken ? withAudio(usage, heard, spoken, detailsOf(inCache).audio_tokens) : usage
}

/** Says how much of the count is audio. What there is more of it than of the fresh prompt was in the cache. */
function withAudio(usage: Usage, heard: JsonValue, spoken: JsonValue, cached: JsonValue): Usage {
  const all = tokenCount(heard)
  const audioCacheRead = Math.max(Math.min(tokenCount(cached), all), Math.min(all - usage.input, usage.cacheRead))
  return withParts(usage, { audioInput: all - audioCacheRead, audioCacheRead, audioOutput: tokenCount(spoken) })
}

function detailsOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}
