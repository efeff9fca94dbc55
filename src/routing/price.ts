import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { ratesAt, timesOf } from '#core/cost.ts'
import { estimateTokens, promptLength, type Served } from '#core/usage.ts'

/** The assumed tokens of an answer without a limit. */
const ANSWER_TOKENS = 500
const MILLION = 1_000_000
/** Stands for an unknown price: higher than any known one. */
const UNKNOWN = Number.MAX_VALUE

/** The tokens that an answer may have: the limit of the call, or what answers usually have. */
export function answerTokens({ body, endpoint }: Call): number {
  if (endpoint === 'embeddings') return 0
  const bound = body.max_completion_tokens ?? body.max_tokens
  return typeof bound === 'number' ? bound : ANSWER_TOKENS
}

/** The tokens of a prompt, estimated from its length. */
export function promptTokens({ body }: Call): number {
  return estimateTokens(promptLength(body))
}

/** What a call would cost at a candidate, in USD; `Number.MAX_VALUE` when that is not known.
 *
 * @param asked The tier of service that the call asks for. */
export function priceOf({ target: { price } }: Candidate, input: number, output: number, asked: Served = {}): number {
  if (price === null) return UNKNOWN
  // If only requests have a price, tokens cost nothing.
  if (price.input === null && price.output === null) return price.request > 0 ? price.request : UNKNOWN
  const rates = ratesAt(price, input)
  const read = input === 0 ? 0 : rates.input
  const written = output === 0 ? 0 : rates.output
  if (read == null || written == null) return UNKNOWN
  return price.request + ((read * input + written * output) * timesOf(price, asked)) / MILLION
}
