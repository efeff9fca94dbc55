import type { Chunk, DataFrame } from '#core/frame.ts'
import { inputTokens, type Served, type Usage } from '#core/usage.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'

/** The tokens of an answer: as the gateway reads them, and as OpenAI writes them. */
export interface Count {
  readonly usage: Usage
  readonly raw: JsonObject
}

/** Writes a count as OpenAI does.
 *
 * @param details The members that say more than the sums, where the dialect knows more. */
export function toCount(usage: Usage, details: JsonObject = {}): Count {
  const prompt = inputTokens(usage)
  const sums = { prompt_tokens: prompt, completion_tokens: usage.output, total_tokens: prompt + usage.output }
  return { usage, raw: { ...sums, ...withParts(usage, details), ...toServed(usage) } }
}

/** Adds what has a price of its own, in the words of those who tell it too, so that another gateway reads it again. */
function withParts({ parts }: Usage, details: JsonObject): JsonObject {
  if (parts === undefined) return details
  const { audioInput, audioCacheRead, audioOutput, cacheWriteHour, searches } = parts
  const heard = audioInput + audioCacheRead
  return {
    ...details,
    prompt_tokens_details: {
      ...(isObject(details.prompt_tokens_details) && details.prompt_tokens_details),
      ...(heard > 0 && { audio_tokens: heard }),
      ...(audioCacheRead > 0 && { cached_tokens_details: { audio_tokens: audioCacheRead } }),
      ...(cacheWriteHour > 0 && { cache_creation_token_details: { ephemeral_1h_input_tokens: cacheWriteHour } }),
    },
    completion_tokens_details: {
      ...(isObject(details.completion_tokens_details) && details.completion_tokens_details),
      ...(audioOutput > 0 && { audio_tokens: audioOutput }),
    },
    ...(searches > 0 && { server_tool_use: { web_search_requests: searches } }),
  }
}

function toServed({ serviceTier, inferenceGeo }: Served): JsonObject {
  return {
    ...(serviceTier !== undefined && { service_tier: serviceTier }),
    ...(inferenceGeo !== undefined && { inference_geo: inferenceGeo }),
  }
}

/** The chunk that ends a stream with the count, and has no choices.
 *
 * @param head The members that every chunk of the stream begins with. */
export function toCountFrame(count: Count, head: JsonObject): DataFrame {
  const chunk = { ...head, choices: [], usage: count.raw }
  return { kind: 'usage', text: writeSse(JSON.stringify(chunk)), chunk: chunk as Chunk, usage: count.usage }
}
