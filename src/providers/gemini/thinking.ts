import { isObject, type JsonValue } from '#lib/json.ts'
import { refuse } from '../unsupported.ts'

/** How the thinking of a model is set: by a level from Gemini 3 on, by a number of tokens in 2.5, and not at all
 * before. */
export function thinkingKindOf(model: string): 'level' | 'budget' | 'none' {
  if (isGemini3(model)) return 'level'
  return /gemini-2\.5/.test(model) ? 'budget' : 'none'
}

/** Whether a model is of the third generation or a later one, as those are that only say `latest`. */
export function isGemini3(model: string): boolean {
  const generation = /gemini-(\d+)/.exec(model)?.[1]
  return generation === undefined ? /gemini-.*latest/.test(model) : Number(generation) >= 3
}

/** The levels that a model knows, from little to much; what it does not know it refuses with HTTP 400. */
function levelsOf(model: string): readonly string[] {
  const [, major = 'Infinity', minor = '0'] = /gemini-(\d+)(?:\.(\d+))?/.exec(model) ?? []
  const version = Number(major) * 100 + Number(minor)
  const isPro = /-pro/.test(model)
  if (/-image/.test(model)) return isPro ? ['low', 'high'] : ['minimal', 'high']
  // The first large model of the third generation has no level `medium`; all later ones have it.
  if (isPro) return version > 300 ? ['low', 'medium', 'high'] : ['low', 'high']
  const isSmall = /-lite/.test(model)
  return isSmall || version < 307 ? ['minimal', 'low', 'medium', 'high'] : ['low', 'medium', 'high']
}

/** From little to much. */
const LEVELS: readonly string[] = ['minimal', 'low', 'medium', 'high']

/** The nearest level that the model knows and that costs no more than the one asked for, else its least. */
function nearestLevel(level: string, model: string): string | undefined {
  const known = levelsOf(model)
  return known.findLast(each => LEVELS.indexOf(each) <= LEVELS.indexOf(level)) ?? known[0]
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

/** Builds `thinkingConfig` from an effort; a caller that asks for an effort also gets the thoughts.
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
  // Thinking cannot be switched off in the large models: they get their least budget.
  const least = /-pro/.test(model) ? PRO_BUDGET_MIN : 0
  if (kind === 'budget') return { includeThoughts, thinkingBudget: Math.max(budget, least) }
  return { includeThoughts, thinkingLevel: nearestLevel(level, model) }
}
