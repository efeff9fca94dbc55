import type { Candidate } from '#core/attempt.ts'
import { hasRoom, isResident, loadingCost } from '../residence.ts'
import { loadOf, rankedInTurn, type Strategy, type StrategyContext } from './strategy.ts'

/** Ranks of candidates, each higher than any load: those that would have to load the model, and between the idle and
 * the busy ones of them those that have it but no room. */
const LOADING = 1e6
const FULL = 2e6
/** From here on a server is busy with other models. */
const BUSY = 2

/** A server that has the model in memory, the least busy of them, as long as one has room. Else one that is idle loads
 * it: whose model nobody has asked for longest. Servers that do not say what they hold count as having it. */
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
