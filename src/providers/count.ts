import type { Chunk, DataFrame } from '#core/frame.ts'
import { inputTokens, type Served, type Usage } from '#core/usage.ts'
import type { JsonObject } from '#lib/json.ts'
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
  return { usage, raw: { ...sums, ...details, ...toServed(usage) } }
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
