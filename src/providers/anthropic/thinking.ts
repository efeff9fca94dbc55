import { isObject, type JsonObject } from '#lib/json.ts'
import type { Turn } from './messages.ts'
import type { Traits } from './models.ts'
import { isThought } from './reasoning.ts'

/** The settings for the thinking of one call. */
export interface Thinking {
  /** The API's `thinking`, where it must be sent. */
  readonly config?: JsonObject
  readonly effort?: string
  /** Whether the model may think. */
  readonly on: boolean
  /** The parameter that could not be honoured. */
  readonly dropped?: string
}

/** Tokens to think with, by OpenAI's efforts; the API takes at least 1024. */
const BUDGETS: ReadonlyMap<string, number> = new Map([
  ['minimal', 1024],
  ['low', 2048],
  ['medium', 8192],
  ['high', 16_384],
  ['xhigh', 32_000],
  ['max', 32_000],
])
const BUDGET_MIN = 1024
/** The largest share of an answer's tokens that thoughts may take; the rest is for its text. */
const BUDGET_SHARE = 0.8

/** The parts of a request that decide how it thinks. */
interface Asked {
  readonly body: JsonObject
  readonly traits: Traits
  readonly maxTokens: number
  /** Whether a tool has to be called: the API does not take that together with thoughts. */
  readonly forced: boolean
  /** Whether the conversation allows thoughts now; called only where that matters. */
  readonly resumable: () => boolean
}

/** Translates `reasoning_effort`, or the API's own `thinking`, to what the model takes. */
export function toThinking({ body, traits, maxTokens, forced, resumable }: Asked): Thinking {
  const { reasoning_effort: effort, thinking: own } = body
  const param = isObject(own) ? 'thinking' : 'reasoning_effort'
  const idle = { on: traits.thinking === 'always' || (traits.thinksUnasked && !forced) }
  if (!wantsThinking(body)) {
    const unwanted = isObject(own) || effort === 'none'
    return unwanted || (forced && traits.thinksUnasked) ? off(traits) : idle
  }
  if (traits.thinking === 'none') return { on: false, dropped: param }
  if (forced && traits.thinking !== 'always') return { ...off(traits), dropped: param }
  const isBudget = isObject(own) ? own.type === 'enabled' : traits.thinking === 'budget'
  // With a budget the API refuses the result of a tool when the thoughts before its call are missing; most callers do
  // not keep them. An answer without thoughts is better than none.
  if (isBudget && (maxTokens <= BUDGET_MIN || !resumable())) return { ...off(traits), dropped: param }
  if (isObject(own)) return { config: own, on: true }
  if (isBudget) return { config: { type: 'enabled', budget_tokens: budgetOf(String(effort), maxTokens) }, on: true }
  // Newer models keep their thoughts to themselves unless asked for a summary.
  return { config: { type: 'adaptive', display: 'summarized' }, effort: effortOf(String(effort), traits), on: true }
}

/** Whether a request asks for thoughts. */
export function wantsThinking({ reasoning_effort: effort, thinking: own }: JsonObject): boolean {
  return isObject(own) ? own.type !== 'disabled' : typeof effort === 'string' && effort !== 'none'
}

/** The settings for the least thinking that the model allows. */
function off(traits: Traits): Thinking {
  if (traits.thinking === 'always') return { effort: traits.efforts[0], on: true }
  return traits.thinksUnasked ? { config: { type: traits.thinkingOff }, on: false } : { on: false }
}

function budgetOf(effort: string, maxTokens: number): number {
  const most = Math.max(BUDGET_MIN, Math.floor(maxTokens * BUDGET_SHARE))
  return Math.min(BUDGETS.get(effort) ?? BUDGET_MIN, most)
}

/** The nearest effort that the model knows and that costs no more than the one asked for. */
function effortOf(effort: string, { efforts }: Traits): string {
  if (efforts.includes(effort)) return effort
  return effort === 'xhigh' ? 'high' : 'low'
}

/** Whether a model that thinks with a budget can go on from here: the answer that asked for the tools whose results
 * come last begins with its thoughts, and nothing of the new answer is there yet. */
export function isResumable(turns: readonly Turn[]): boolean {
  if (turns.at(-1)?.role === 'assistant') return false
  let first: Turn | undefined
  for (let at = turns.length - 1; at > 0 && isToolResult(turns[at]); at -= 2) first = turns[at - 1]
  return first === undefined || first.content.slice(0, 1).some(isThought)
}

function isToolResult(turn: Turn | undefined): boolean {
  return turn?.role === 'user' && turn.content.some(block => block.type === 'tool_result')
}
