import type { Call } from '#core/call.ts'
import type { Model } from '#core/servers.ts'
import { isObject } from '#lib/json.ts'
import { answerTokens, promptTokens } from './price.ts'

/** What a call asks of a model. */
export interface Demand {
  readonly tools: boolean
  readonly images: boolean
  readonly input: number
  readonly output: number
  /** How large a model it is for, from 0 (small) to 1. */
  readonly size: number
}

/** Up to here a call is a small one, and from there on a large one; in tokens of the prompt and of the answer. */
const SMALL = { input: 500, output: 512 }
const LARGE = { input: 8000, output: 2048 }
/** The size of a model by its class; what has none is neither small nor large. */
const SIZES = { lightweight: 0, heavyweight: 1, specialized: 0.5, embedding: 0.5 } as const
const UNKNOWN_SIZE = 0.5
/** What is missing counts more than any difference in size. */
const LACKING = 2

/** Reads from a call what it asks of a model: tools, images, and by its length how large a one. */
export function demandOf(call: Call): Demand {
  const { body } = call
  const tools = Array.isArray(body.tools) && body.tools.length > 0
  const input = promptTokens(call)
  const output = answerTokens(call)
  const size = Math.max(between(input, SMALL.input, LARGE.input), between(output, SMALL.output, LARGE.output))
  return { tools, images: hasImages(call), input, output, size: tools ? Math.max(size, 0.5) : size }
}

/** How little a model suits a demand, in steps of a quarter: 0 when it does, 2 for each thing that it is known to lack. */
export function misfit({ capabilities, class: modelClass }: Model, demand: Demand): number {
  let lacks = 0
  if (demand.tools && capabilities.tools === false) lacks++
  if (demand.images && capabilities.vision === false) lacks++
  if (demand.input + demand.output > (capabilities.context_length ?? Infinity)) lacks++
  const size = modelClass === null ? UNKNOWN_SIZE : SIZES[modelClass]
  return lacks * LACKING + Math.round(Math.abs(size - demand.size) * 4) / 4
}

function between(value: number, low: number, high: number): number {
  return Math.min(1, Math.max(0, (value - low) / (high - low)))
}

function hasImages({ body: { messages } }: Call): boolean {
  if (!Array.isArray(messages)) return false
  for (const message of messages) {
    if (!isObject(message) || !Array.isArray(message.content)) continue
    for (const part of message.content) if (isObject(part) && part.type === 'image_url') return true
  }
  return false
}
