import { tokenCount, type Usage } from '#core/usage.ts'
import { isObject, type JsonObject } from '#lib/json.ts'

/** A count as the gateway reads it, and as OpenAI writes it. */
export interface GeminiCount {
  readonly usage: Usage
  readonly raw: JsonObject
}

/** Reads `usageMetadata`. The cached tokens are part of the prompt's, the thoughts are not part of the candidates';
 * what is zero is left out by the server.
 *
 * @returns `null` when there is no count. */
export function fromGeminiUsage(metadata: unknown): GeminiCount | null {
  if (!isObject(metadata)) return null
  const prompt = tokenCount(metadata.promptTokenCount) + tokenCount(metadata.toolUsePromptTokenCount)
  const reasoning = tokenCount(metadata.thoughtsTokenCount)
  const output = tokenCount(metadata.candidatesTokenCount) + reasoning
  if (prompt + output === 0) return null
  const cacheRead = Math.min(tokenCount(metadata.cachedContentTokenCount), prompt)
  return {
    usage: { input: prompt - cacheRead, cacheRead, cacheWrite: 0, output, reasoning, estimated: false },
    raw: {
      prompt_tokens: prompt,
      completion_tokens: output,
      total_tokens: prompt + output,
      prompt_tokens_details: { cached_tokens: cacheRead },
      completion_tokens_details: { reasoning_tokens: reasoning },
    },
  }
}
