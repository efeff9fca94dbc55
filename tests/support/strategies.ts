import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { createStates } from '#registry/states.ts'
import type { Strategy, StrategyContext } from '#routing/strategies/strategy.ts'
import { call } from './calls.ts'
import { seeded } from './random.ts'

/** What a strategy is given, for calls of its own. */
export function strategyContext(seed = 1, more: Partial<StrategyContext> = {}): StrategyContext {
  return {
    call: call(),
    states: createStates(),
    now: 1_000_000,
    random: seeded(seed),
    turns: new Map(),
    homes: new Map(),
    prices: null,
    sparesLoad: false,
    ...more,
  }
}

/** A call with this prompt. */
export function prompted(content: string, more: Partial<Call> = {}): Call {
  return call({ body: { model: 'm', messages: [{ role: 'user', content }] }, ...more })
}

/** How often each candidate comes first. */
export function firsts(
  strategy: Strategy,
  candidates: readonly Candidate[],
  calls: number,
  own: StrategyContext = strategyContext(),
): number[] {
  const counts = candidates.map(() => 0)
  for (let each = 0; each < calls; each++) {
    const [first] = strategy.order(candidates, own)
    if (first === undefined) continue
    const index = candidates.indexOf(first)
    counts[index] = (counts[index] ?? 0) + 1
  }
  return counts
}
