import type { Candidate } from '#core/attempt.ts'
import { averageFor } from '#core/average.ts'
import { type Demand, demandOf, misfit } from '../demand.ts'
import { isResident, loadingCost } from '../residence.ts'
import { quickest } from './latency.ts'
import { loadOf, rankedInTurn, type Strategy, type StrategyContext } from './strategy.ts'

/** The weights of the criteria; one step between a small model and a large one weighs 1. */
const LOADING = 0.5
const EACH_CALL = 0.25
const SLOWER_MAX = 1
const SLOWER = 0.25

/** Weighs everything that is known: whether the model can do what the call asks and has the right size, whether it is
 * in memory, the calls in flight, and how fast its answers are compared with the fastest. Equal candidates take turns,
 * by weight. */
export const auto: Strategy = {
  name: 'auto',
  observes: true,
  reads: true,
  measure: 'points for what speaks against it: abilities, size, loading, load, slowness',
  order(candidates, context) {
    if (candidates.length < 2) return candidates
    const demand = demandOf(context.call)
    const usual = quickest(candidates, context)
    const ranks: number[] = []
    for (const candidate of candidates) ranks.push(points(candidate, demand, usual, context))
    return rankedInTurn(candidates, ranks, context)
  },
  score: (candidate, context) => points(candidate, demandOf(context.call), quickest([candidate], context), context),
}

function points(candidate: Candidate, demand: Demand, usual: number, { states, call, now }: StrategyContext): number {
  const { ms, at } = averageFor(states.target(candidate.target), call.stream)
  const slower = at === 0 ? 0 : Math.min(SLOWER_MAX, SLOWER * Math.max(0, Math.floor(ms / usual) - 1))
  const loading = isResident(candidate, states) ? 0 : LOADING + loadingCost(candidate, states, now)
  return misfit(candidate, demand) + loading + EACH_CALL * loadOf(candidate, states) + slower
}
