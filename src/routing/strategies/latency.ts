import type { Candidate } from '#core/attempt.ts'
import { averageFor } from '#core/average.ts'
import { loadOf, rankedInTurn, type Strategy, type StrategyContext } from './strategy.ts'

/** The share of calls that go to the candidate that was measured longest ago, because a slow one may be fast by now. */
const EXPLORED = 1 / 20
/** A score below every measured one. */
const FIRST = -1

/** Chooses the candidate that is likely to answer soonest: the average time to its first content, times the number of
 * calls that would share the server with this one. A candidate that was never measured is tried as soon as it is idle.
 *
 * Without the factor, all calls would go to the fastest server until it is the slowest. */
export const latency: Strategy = {
  name: 'latency',
  observes: true,
  measure: 'ms to the first content, with the calls in flight',
  order(candidates, context) {
    if (candidates.length < 2) return candidates
    const explored = context.random() < EXPLORED ? stalest(candidates, context) : null
    const usual = quickest(candidates, context)
    const ranks: number[] = []
    for (const candidate of candidates) {
      ranks.push(candidate === explored ? FIRST : expected(candidate, context, usual))
    }
    return rankedInTurn(candidates, ranks, context)
  },
  score: (candidate, context) => expected(candidate, context, quickest([candidate], context)),
}

function expected(candidate: Candidate, context: StrategyContext, usual: number): number {
  const state = context.states.target(candidate.target)
  const { ms, at } = averageFor(state, context.call.stream)
  if (at === 0 && state.inFlight === 0) return FIRST
  return (at === 0 ? usual : ms) * (1 + loadOf(candidate, context.states))
}

/** The shortest known average, which stands for the unknown ones; 1 when none is known. */
export function quickest(candidates: readonly Candidate[], { states, call }: StrategyContext): number {
  let least = Infinity
  for (const { target } of candidates) {
    const { ms, at } = averageFor(states.target(target), call.stream)
    if (at > 0 && ms < least) least = ms
  }
  return least === Infinity ? 1 : Math.max(least, 1)
}

function stalest(candidates: readonly Candidate[], { states, call }: StrategyContext): Candidate | null {
  let found: Candidate | null = null
  let oldest = Infinity
  for (const candidate of candidates) {
    const { at } = averageFor(states.target(candidate.target), call.stream)
    if (at >= oldest) continue
    oldest = at
    found = candidate
  }
  return found
}
