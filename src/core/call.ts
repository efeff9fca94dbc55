import type { JsonObject } from '#lib/json.ts'
import type { Caller } from './caller.ts'
import type { Priority } from './priority.ts'

export type Endpoint = 'chat' | 'completions' | 'embeddings'

/** How deep the JSON of a call may nest: its body, and what is read from the texts in it. */
export const DEPTH_MAX = 64
/** The most members of all its objects together, and the most objects and lists. A body with ten thousand messages has
 * fewer. */
export const MEMBERS_MAX = 100_000

/** One model call, parsed and checked: what providers translate and strategies look at. */
export interface Call {
  readonly endpoint: Endpoint
  /** The public name that was asked for; `null` when the gateway chooses. */
  readonly model: string | null
  readonly body: JsonObject
  /** The body as it came; `null` when it has been changed since. */
  readonly source: string | null
  readonly stream: boolean
  /** Whether the caller asked for the usage chunk of a stream. */
  readonly wantsUsage: boolean
  /** Models to try when the asked one fails, from the body. */
  readonly fallbacks: readonly string[]
  readonly caller: Caller
  /** How soon it gets a place where there are too few. */
  readonly priority: Priority
  /** Forwarded to the server, when it came with a valid one. */
  readonly traceparent: string | null
  /** Headers of the caller that some dialect passes on, by their names in lower case; absent when there are none. */
  readonly headers?: Readonly<Record<string, string>>
}

/** How many choices a call is to be answered with: `n` to each of its prompts, a list of numbers being one prompt, in
 * tokens. */
export function choicesAsked({ n, prompt }: JsonObject): number {
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1
  return (typeof n === 'number' && n > 1 ? n : 1) * Math.max(1, prompts)
}
