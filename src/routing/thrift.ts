import type { Candidate } from '#core/attempt.ts'
import { answerTokens, priceOf, promptTokens } from './price.ts'
import type { Strategy, StrategyContext } from './strategies/strategy.ts'

/** Lets a strategy order the cheapest of the candidates that it finds fittest; the others follow, the fitter first and
 * then the cheaper. */
export function thriftily(
  strategy: Strategy,
  candidates: readonly Candidate[],
  context: StrategyContext,
): readonly Candidate[] {
  const input = promptTokens(context.call)
  const output = answerTokens(context.call)
  const entries = candidates.map(candidate => ({
    candidate,
    misfit: strategy.fitness?.(candidate, context) ?? 0,
    price: priceOf(candidate, input, output),
  }))
  entries.sort((a, b) => a.misfit - b.misfit || a.price - b.price)
  const [best] = entries
  const dearer = entries.findIndex(each => each.misfit !== best?.misfit || each.price !== best?.price)
  const cut = dearer === -1 ? entries.length : dearer
  const ordered = entries.map(each => each.candidate)
  return [...strategy.order(ordered.slice(0, cut), context), ...ordered.slice(cut)]
}
