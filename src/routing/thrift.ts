import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { servedIn } from '#core/service-tier.ts'
import { answerTokens, priceOf, promptTokens } from './price.ts'

/** What a call would cost at each candidate. */
export function pricesOf(candidates: readonly Candidate[], call: Call): ReadonlyMap<Candidate, number> {
  const input = promptTokens(call)
  const output = answerTokens(call)
  const asked = servedIn(call.body)
  return new Map(candidates.map(candidate => [candidate, priceOf(candidate, input, output, asked)]))
}

/** Puts the cheaper candidates first. Strategies keep this order among candidates that they consider equal. */
export function cheaperFirst(
  candidates: readonly Candidate[],
  prices: ReadonlyMap<Candidate, number>,
): readonly Candidate[] {
  return candidates.toSorted((a, b) => (prices.get(a) ?? 0) - (prices.get(b) ?? 0))
}
