import { isObject, type JsonValue } from '#lib/json.ts'
import { refuse } from '../unsupported.ts'

/** How a model is told how much to think: by level from Gemini 3 on, by a number of tokens for 2.5, not at all before. */
export function thinkingKindOf(model: string): 'level' | 'budget' | 'none' {
  if (isGemini3(model)) return 'level'
  return /gemini-2\.5/.test(model) ? 'budget' : 'none'
}

/** Whether a model is of the third generation or a later one, as those are that only say `latest`. */
export function isGemini3(model: string): boolean {
  const generation = /gemini-(\d+)/.exec(model)?.[1]
  return generation === undefined ? /gemini-.*latest/.test(model) : Number(generation) >= 3
}

interface Effort {
  readonly level: string
  readonly budget: number
}

/** Efforts as levels, and as the budgets that Google's OpenAI-compatible endpoint makes of them. */
const EFFORTS: ReadonlyMap<string, Effort> = new Map([
  ['none', { level: 'minimal', budget: 0 }],
  ['minimal', { level: 'minimal', budget: 1024 }],
  ['low', { level: 'low', budget: 1024 }],
  ['medium', { level: 'medium', budget: 8192 }],
  ['high', { level: 'high', budget: 24_576 }],
  ['xhigh', { level: 'high', budget: 24_576 }],
  ['max', { level: 'high', budget: 24_576 }],
])

/** The least that the large model of 2.5 thinks. */
const PRO_BUDGET_MIN = 128

/** Builds `thinkingConfig` from an effort; thoughts are told to whoever asks for an effort.
 *
 * @param own The caller's own configuration, which wins.
 * @returns `undefined` when nothing is asked for, or the model does not think. */
export function toThinkingConfig(effort: JsonValue, own: JsonValue, model: string): JsonValue {
  if (isObject(own)) return own
  const kind = thinkingKindOf(model)
  if (typeof effort !== 'string' || kind === 'none') return undefined
  const known = EFFORTS.get(effort)
  if (known === undefined) throw refuse('reasoning_effort', 'this reasoning_effort', 'use none, low, medium or high')
  const { level, budget } = known
  const includeThoughts = effort !== 'none'
  // The large models cannot but think: they get the least that they take.
  const isPro = /-pro/.test(model)
  if (kind === 'budget') return { includeThoughts, thinkingBudget: isPro ? Math.max(budget, PRO_BUDGET_MIN) : budget }
  return { includeThoughts, thinkingLevel: isPro && level === 'minimal' ? 'low' : level }
}
