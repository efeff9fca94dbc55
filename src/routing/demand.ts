import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { answerTokens, promptTokens } from './price.ts'

/** What size of model a call needs. */
export interface Demand {
  /** Tokens of prompt and answer. */
  readonly tokens: number
  /** The size of model that it needs, from 0 (small) to 1 (large). */
  readonly size: number
}

/** The limits below which a call is small, and above which it is large, in tokens of the prompt and of the answer. */
const SMALL = { input: 500, output: 512 }
const LARGE = { input: 8000, output: 2048 }
/** The size of a model by its class; a model without a class is neither small nor large. */
const SIZES = { lightweight: 0, heavyweight: 1, specialized: 0.5, embedding: 0.5 } as const
const UNKNOWN_SIZE = 0.5
/** The size that a call with tools needs at least. */
const TOOLS_SIZE = 0.5
/** The weight of a prompt that may be too long; more than that of any difference in size. */
const TOO_LONG = 2

/** Derives from the length of a call and from its tools what size of model it needs. Models that cannot answer it at
 * all have been removed before. */
export function demandOf(call: Call): Demand {
  const { body } = call
  const tools = Array.isArray(body.tools) && body.tools.length > 0
  const input = promptTokens(call)
  const output = answerTokens(call)
  const size = Math.max(between(input, SMALL.input, LARGE.input), between(output, SMALL.output, LARGE.output))
  return { tokens: input + output, size: tools ? Math.max(size, TOOLS_SIZE) : size }
}

/** How badly a candidate suits a demand, in steps of a quarter; 0 = well. The context length of the model is not used:
 * it is the shortest one of all its targets. */
export function misfit({ model, target }: Candidate, demand: Demand): number {
  const size = model.class === null ? UNKNOWN_SIZE : SIZES[model.class]
  const tooLong = demand.tokens > (target.abilities?.context_length ?? Infinity) ? TOO_LONG : 0
  return tooLong + Math.round(Math.abs(size - demand.size) * 4) / 4
}

function between(value: number, low: number, high: number): number {
  return Math.min(1, Math.max(0, (value - low) / (high - low)))
}
