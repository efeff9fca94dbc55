import type { Candidate } from '#core/attempt.ts'
import { averageFor } from '#core/average.ts'
import { loadOf, rankedInTurn, type Strategy, type StrategyContext } from './strategy.ts'

/** The share of calls that go to whoever was measured longest ago: what was slow once may be quick by now. */
const EXPLORED = 1 / 20
/** Before everything that was measured. */
const FIRST = -1

/** The candidate that answers soonest: the average time to the first content, times the calls that would share the
 * server with this one. One that was never measured is tried as soon as it is idle.
 *
 * Without the factor all calls would go to the quickest until it is the slowest. */
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

/** The shortest average that is known, which stands for those that are not; 1 when none is. */
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
