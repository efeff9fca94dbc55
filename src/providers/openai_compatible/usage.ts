import { servedAs, withServed } from '#core/service-tier.ts'
import { SEARCHES_MAX, tokenCount, type Usage, type UsageParts, withParts } from '#core/usage.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** Reads OpenAI's usage, and other servers' variants of it, as disjoint classes.
 *
 * @param tier The tier of service as the answer tells it; gateways in front of Anthropic tell it, and the speed and the
 * place, within the usage.
 * @returns `null` when it has no count: servers that do not count send zeros. */
export function fromUsage(raw: unknown, tier?: JsonValue): Usage | null {
  if (!isObject(raw)) return null
  const promptDetails = detailsOf(raw.prompt_tokens_details)
  const { audio_tokens: heard } = promptDetails
  const completion = tokenCount(raw.completion_tokens)
  const read = tokenCount(raw.prompt_tokens)
  // Mistral counts what it hears beside the prompt, and always in the total.
  const isBeside = 'prompt_audio_seconds' in raw
  const prompt = isBeside ? Math.max(read, tokenCount(raw.total_tokens) - completion) : read
  if (prompt === 0 && completion === 0) return null
  // DeepSeek and Moonshot count the tokens that a prompt cache served at top level.
  const cached = promptDetails.cached_tokens ?? raw.prompt_cache_hit_tokens ?? raw.cached_tokens
  const cacheRead = Math.min(tokenCount(cached), prompt)
  const cacheWrite = Math.min(writtenIn(promptDetails), prompt - cacheRead)
  const { reasoning_tokens, audio_tokens: spoken } = detailsOf(raw.completion_tokens_details)
  const reasoning = tokenCount(reasoning_tokens) || tokenCount(raw.reasoning_tokens)
  // What Perplexity reads and thinks in a research of its own it counts apart, and its total leaves it out.
  const cited = tokenCount(raw.citation_tokens)
  // xAI and Gemini leave reasoning out of completion_tokens; only the total has it.
  const output = Math.max(completion, tokenCount(raw.total_tokens) - prompt) + (cited > 0 ? reasoning : 0)
  const counted = {
    input: prompt - cacheRead - cacheWrite + cited,
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
  return heard || spoken || keptIn(promptDetails) || raw.server_tool_use || raw.num_search_queries
    ? withParts(usage, partsOf(usage, raw, promptDetails, spoken))
    : usage
}

/** Says how much of the count is audio, and what else may have a price of its own. What there is more of audio than of the
 * fresh prompt was in the cache. */
function partsOf(usage: Usage, raw: JsonObject, details: JsonObject, spoken: JsonValue): Partial<UsageParts> {
  const all = tokenCount(details.audio_tokens)
  const cached = tokenCount(detailsOf(details.cached_tokens_details).audio_tokens)
  const audioCacheRead = Math.max(Math.min(cached, all), Math.min(all - usage.input, usage.cacheRead))
  const hour = tokenCount(detailsOf(keptIn(details)).ephemeral_1h_input_tokens)
  return {
    audioInput: all - audioCacheRead,
    audioCacheRead,
    audioOutput: tokenCount(spoken),
    cacheWriteHour: Math.min(hour, usage.cacheWrite),
    searches: Math.min(
      tokenCount(detailsOf(raw.server_tool_use).web_search_requests ?? raw.num_search_queries),
      SEARCHES_MAX,
    ),
  }
}

/** What went into a cache, in the words of OpenRouter, of LiteLLM, and of Alibaba. */
function writtenIn(details: JsonObject): number {
  return tokenCount(details.cache_write_tokens ?? details.cache_creation_tokens ?? details.cache_creation_input_tokens)
}

/** How long it is kept there, in the words of LiteLLM, and of Alibaba. */
function keptIn(details: JsonObject): JsonValue {
  return details.cache_creation_token_details ?? details.cache_creation
}

function detailsOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}
