import { servedIn, withServed } from '#core/service-tier.ts'
import { type Beside, SEARCHES_MAX, tokenCount, withParts } from '#core/usage.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { type Count, toCount } from '../count.ts'

/** Reads the counts of an answer. Its `input_tokens` hold neither what came from the prompt cache nor what went into
 * it; OpenAI's `prompt_tokens` hold both.
 *
 * @returns `null` when there are none. */
export function fromAnthropicUsage(given: JsonValue): Count | null {
  if (!isObject(given)) return null
  const runs = [given, ...besidesOf(given)]
  const input = sum(runs, 'input_tokens')
  const cacheRead = sum(runs, 'cache_read_input_tokens')
  const cacheWrite = sum(runs, 'cache_creation_input_tokens')
  const output = sum(runs, 'output_tokens')
  if (input + cacheRead + cacheWrite + output === 0) return null
  const reasoning = Math.min(tokenCount(objectIn(given, 'output_tokens_details').thinking_tokens), output)
  const usage = withParts(
    { input, cacheRead, cacheWrite, output, reasoning, estimated: false },
    {
      cacheWriteHour: hourOf(runs, cacheWrite),
      searches: Math.min(tokenCount(objectIn(given, 'server_tool_use').web_search_requests), SEARCHES_MAX),
    },
  )
  const besides = runs.filter(({ type }) => type === ADVICE).map(toBeside)
  return toCount(
    { ...withServed(usage, servedIn(given)), ...(besides.length > 0 && { besides }) },
    {
      prompt_tokens_details: { cached_tokens: cacheRead, cache_write_tokens: cacheWrite },
      completion_tokens_details: { reasoning_tokens: reasoning },
    },
  )
}

function sum(of: readonly JsonObject[], name: string): number {
  return tokenCount(of.reduce((tokens, each) => tokens + tokenCount(each[name]), 0))
}

function objectIn(given: JsonObject, name: string): JsonObject {
  const value = given[name]
  return isObject(value) ? value : {}
}

/** How much of what went into the cache is kept for an hour. Streams split only what the first run of the model has
 * written, while the sum grows with each search of its own: the rest is shared out as that was. */
function hourOf(runs: readonly JsonObject[], cacheWrite: number): number {
  const split = runs.map(run => objectIn(run, 'cache_creation'))
  const hour = sum(split, 'ephemeral_1h_input_tokens')
  return hour === 0 ? 0 : Math.round((cacheWrite * hour) / (hour + sum(split, 'ephemeral_5m_input_tokens')))
}

/** The runs that the sums of the API leave out, and that are paid for like the answer: those that compact the
 * conversation, and those of another model that is asked for advice. */
const ADVICE = 'advisor_message'
const BESIDES: ReadonlySet<JsonValue> = new Set(['compaction', ADVICE])

/** What another model took to advise this one, which costs what that one takes. */
function toBeside(run: JsonObject): Beside {
  const cacheWrite = tokenCount(run.cache_creation_input_tokens)
  const usage = {
    ...{ input: tokenCount(run.input_tokens), cacheRead: tokenCount(run.cache_read_input_tokens), cacheWrite },
    ...{ output: tokenCount(run.output_tokens), reasoning: 0, estimated: false },
  }
  return { model: String(run.model), usage: withParts(usage, { cacheWriteHour: hourOf([run], cacheWrite) }) }
}

function besidesOf({ iterations }: JsonObject): readonly JsonObject[] {
  return Array.isArray(iterations) ? iterations.filter(isObject).filter(({ type }) => BESIDES.has(type)) : []
}

/** Joins the counts at the beginning and at the end of a stream. Those at the end are complete; but older servers count
 * only the output there, and others send zero for what they do not count. */
export function mergeUsage(before: JsonObject, now: JsonValue): JsonObject {
  if (!isObject(now)) return before
  const said = Object.entries(now).filter(([, value]) => value !== null && value !== 0)
  return { ...before, ...Object.fromEntries(said) }
}
