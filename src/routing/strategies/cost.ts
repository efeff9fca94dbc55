import { servedIn } from '#core/service-tier.ts'
import { answerTokens, priceOf, promptTokens } from '../price.ts'
import { rankedInTurn, type Strategy } from './strategy.ts'

/** Chooses the candidate at which the call costs least; equal candidates take turns, by weight. Candidates without a
 * known price come last: unknown is not free. */
export const cost: Strategy = {
  name: 'cost',
  measure: 'USD for this call',
  order(candidates, context) {
    if (candidates.length < 2) return candidates
    const { call } = context
    const input = promptTokens(call)
    const output = answerTokens(call)
    const asked = servedIn(call.body)
    const ranks: number[] = []
    for (const candidate of candidates) ranks.push(priceOf(candidate, input, output, asked))
    return rankedInTurn(candidates, ranks, context)
  },
  score: (candidate, { call }) => priceOf(candidate, promptTokens(call), answerTokens(call), servedIn(call.body)),
}
