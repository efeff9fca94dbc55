import { tokenCount } from '#core/usage.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { type Count, toCount } from '../count.ts'

/** Reads the counts of an answer. Its `input_tokens` hold neither what came from the prompt cache nor what went into
 * it; OpenAI's `prompt_tokens` hold both.
 *
 * @returns `null` when there are none. */
export function fromAnthropicUsage(given: JsonValue): Count | null {
  if (!isObject(given)) return null
  const parts = [given, ...compactionsOf(given)]
  const sum = (name: string) => tokenCount(parts.reduce((tokens, part) => tokens + tokenCount(part[name]), 0))
  const input = sum('input_tokens')
  const cacheRead = sum('cache_read_input_tokens')
  const cacheWrite = sum('cache_creation_input_tokens')
  const output = sum('output_tokens')
  if (input + cacheRead + cacheWrite + output === 0) return null
  const details = isObject(given.output_tokens_details) ? given.output_tokens_details : {}
  const reasoning = Math.min(tokenCount(details.thinking_tokens), output)
  const usage = { input, cacheRead, cacheWrite, output, reasoning, estimated: false }
  return toCount(usage, {
    prompt_tokens_details: { cached_tokens: cacheRead, cache_write_tokens: cacheWrite },
    completion_tokens_details: { reasoning_tokens: reasoning },
  })
}

/** What it took to compact the conversation: the sums of the API leave that out, and it is paid for like the answer. */
function compactionsOf({ iterations }: JsonObject): readonly JsonObject[] {
  return Array.isArray(iterations) ? iterations.filter(isObject).filter(({ type }) => type === 'compaction') : []
}

/** Joins the counts at the beginning and at the end of a stream. Those at the end are complete; but older servers count
 * only the output there, and others send zero for what they do not count. */
export function mergeUsage(before: JsonObject, now: JsonValue): JsonObject {
  if (!isObject(now)) return before
  const said = Object.entries(now).filter(([, value]) => value !== null && value !== 0)
  return { ...before, ...Object.fromEntries(said) }
}
