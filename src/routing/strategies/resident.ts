import type { Candidate } from '#core/attempt.ts'
import { hasRoom, isResident, loadingCost } from '../residence.ts'
import { loadOf, rankedInTurn, type Strategy, type StrategyContext } from './strategy.ts'

/** The ranks of candidates without the model or without room, each higher than any load: idle servers that would have
 * to load the model, then servers that have it but no room, then busy servers that would have to load it. */
const LOADING = 1e6
const FULL = 2e6
/** The loading cost from which on a server is busy with other models. */
const BUSY = 2

/** Chooses the least busy server that has the model in memory, as long as one has room. Otherwise an idle server loads
 * it: the one whose own model has not been used for the longest time. Servers that do not report what they have loaded
 * count as having it. */
export const resident: Strategy = {
  name: 'resident',
  observes: true,
  reads: true,
  measure: 'calls in flight by weight; from 1,000,000 on the model would have to be loaded or waits for room',
  order(candidates, context) {
    if (candidates.length < 2) return candidates
    const ranks: number[] = []
    let loading = false
    for (const candidate of candidates) {
      ranks.push(rankOf(candidate, context))
      loading ||= !isResident(candidate, context.states)
    }
    const ordered = rankedInTurn(candidates, ranks, context)
    const [first] = ordered
    if (loading && first !== undefined && isResident(first, context.states)) context.sparesLoad = true
    return ordered
  },
  score: rankOf,
}

function rankOf(candidate: Candidate, { states, now }: StrategyContext): number {
  if (isResident(candidate, states)) {
    const load = loadOf(candidate, states)
    return hasRoom(candidate, states) ? load : FULL + load
  }
  const cost = loadingCost(candidate, states, now)
  return cost < BUSY ? LOADING + cost : FULL * cost
}
