import { servedAs, withServed } from '#core/service-tier.ts'
import { tokenCount, UNCOUNTED, type Usage, withParts } from '#core/usage.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { type Count, toCount } from '../count.ts'

/** Reads `usageMetadata`. The cached tokens are part of the prompt's, the thoughts are not part of the candidates';
 * what is zero is left out by the server.
 *
 * @param tier The tier of service, where the count does not tell it.
 * @returns `null` when there is no count. */
export function fromGeminiUsage(metadata: unknown, tier: string | null = null): Usage | null {
  if (!isObject(metadata)) return null
  const prompt = tokenCount(metadata.promptTokenCount) + tokenCount(metadata.toolUsePromptTokenCount)
  const reasoning = tokenCount(metadata.thoughtsTokenCount)
  const output = tokenCount(metadata.candidatesTokenCount) + reasoning
  if (prompt + output === 0) return null
  const cacheRead = Math.min(tokenCount(metadata.cachedContentTokenCount), prompt)
  const audioCacheRead = Math.min(audioOf(metadata.cacheTokensDetails), cacheRead)
  const audioInput = Math.max(audioOf(metadata.promptTokensDetails) - audioCacheRead, 0)
  const audioOutput = audioOf(metadata.candidatesTokensDetails)
  const counted = { input: prompt - cacheRead, cacheRead, cacheWrite: 0, output, reasoning, estimated: false }
  const usage = servedBy(counted, metadata, tier)
  // Every event of a stream has a count, and hardly any has audio in it.
  const isHeard = audioInput + audioCacheRead + audioOutput > 0
  return isHeard ? withParts(usage, { audioInput, audioCacheRead, audioOutput }) : usage
}

/** What is known at the beginning of a stream that counts nothing before its end: the tier at which it is served, also
 * if it is cut.
 *
 * @returns `null` when that is not told. */
export function uncountedGemini(metadata: unknown, tier: string | null): Usage | null {
  const usage = servedBy(UNCOUNTED, isObject(metadata) ? metadata : {}, tier)
  return usage === UNCOUNTED ? null : usage
}

/** Adds the tier of service to a count. Vertex tells the traffic that it counts a call to. */
function servedBy(usage: Usage, { serviceTier, trafficType }: JsonObject, tier: string | null): Usage {
  return withServed(usage, servedAs(serviceTier ?? trafficType ?? tier))
}

/** Writes a count as OpenAI does. */
export function toGeminiCount(usage: Usage): Count {
  return toCount(usage, {
    prompt_tokens_details: { cached_tokens: usage.cacheRead },
    completion_tokens_details: { reasoning_tokens: usage.reasoning },
  })
}

/** The tokens of audio in a list of what each modality has. */
function audioOf(details: unknown): number {
  const found = Array.isArray(details) ? details.find(each => isObject(each) && each.modality === 'AUDIO') : undefined
  return tokenCount(found?.tokenCount)
}
