import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { answerTokens, promptTokens } from './price.ts'

/** What a call asks of a model. */
export interface Demand {
  /** Tokens of prompt and answer. */
  readonly tokens: number
  /** How large a model it is for, from 0 (small) to 1. */
  readonly size: number
}

/** Up to here a call is a small one, and from there on a large one; in tokens of the prompt and of the answer. */
const SMALL = { input: 500, output: 512 }
const LARGE = { input: 8000, output: 2048 }
/** The size of a model by its class; what has none is neither small nor large. */
const SIZES = { lightweight: 0, heavyweight: 1, specialized: 0.5, embedding: 0.5 } as const
const UNKNOWN_SIZE = 0.5
/** A call with tools is not for the smallest models. */
const TOOLS_SIZE = 0.5
/** A prompt that may be too long counts more than any difference in size. */
const TOO_LONG = 2

/** Reads from a call by its length and its tools how large a model it is for. What a model cannot do at all, the plan has
 * looked at already. */
export function demandOf(call: Call): Demand {
  const { body } = call
  const tools = Array.isArray(body.tools) && body.tools.length > 0
  const input = promptTokens(call)
  const output = answerTokens(call)
  const size = Math.max(between(input, SMALL.input, LARGE.input), between(output, SMALL.output, LARGE.output))
  return { tokens: input + output, size: tools ? Math.max(size, TOOLS_SIZE) : size }
}

/** How little a candidate suits a demand, in steps of a quarter: 0 when it does. Its model's context says nothing: that is
 * the shortest one of all its targets. */
export function misfit({ model, target }: Candidate, demand: Demand): number {
  const size = model.class === null ? UNKNOWN_SIZE : SIZES[model.class]
  const tooLong = demand.tokens > (target.abilities?.context_length ?? Infinity) ? TOO_LONG : 0
  return tooLong + Math.round(Math.abs(size - demand.size) * 4) / 4
}

function between(value: number, low: number, high: number): number {
  return Math.min(1, Math.max(0, (value - low) / (high - low)))
}
