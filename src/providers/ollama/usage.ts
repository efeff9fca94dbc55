import { tokenCount } from '#core/usage.ts'
import type { JsonObject } from '#lib/json.ts'
import { type Count, toCount } from '../count.ts'

/** Reads the counts of an answer. The prompt's is left out when it came from the cache of the server.
 *
 * @returns `null` when there are none, as from embeddings of older servers. */
export function fromOllamaUsage(answer: JsonObject): Count | null {
  const prompt = tokenCount(answer.prompt_eval_count)
  const output = tokenCount(answer.eval_count)
  if (prompt + output === 0) return null
  return toCount({ input: prompt, cacheRead: 0, cacheWrite: 0, output, reasoning: 0, estimated: false })
}
