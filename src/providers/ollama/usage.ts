import { tokenCount, type Usage } from '#core/usage.ts'
import type { JsonObject } from '#lib/json.ts'

/** A count as the gateway reads it, and as OpenAI writes it. */
export interface OllamaCount {
  readonly usage: Usage
  readonly raw: JsonObject
}

/** Reads the counts of an answer. The prompt's is left out when it came from the cache of the server.
 *
 * @returns `null` when there are none, as from embeddings of older servers. */
export function fromOllamaUsage(answer: JsonObject): OllamaCount | null {
  const prompt = tokenCount(answer.prompt_eval_count)
  const output = tokenCount(answer.eval_count)
  if (prompt + output === 0) return null
  return {
    usage: { input: prompt, cacheRead: 0, cacheWrite: 0, output, reasoning: 0, estimated: false },
    raw: { prompt_tokens: prompt, completion_tokens: output, total_tokens: prompt + output },
  }
}
