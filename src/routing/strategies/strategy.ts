import type { Candidate } from '#core/attempt.ts'
import type { States } from '#core/servers.ts'

/** What a strategy may look at besides the candidates. */
export interface StrategyContext {
  readonly states: States
  /** From 0 up to but not including 1. */
  readonly random: () => number
  /** What the strategy left with each candidate at earlier calls for the same model; its own to read and write. */
  readonly turns: Map<Candidate, number>
}

/** A way to spread load: puts the candidates, all of them available, into the order in which they are tried. */
export interface Strategy {
  readonly name: string
  /** A permutation of the candidates; the first one counts as chosen. */
  order(candidates: readonly Candidate[], context: StrategyContext): readonly Candidate[]
}

/** What stands for a weight of zero: no share beside others, an equal one among its like. */
const WEIGHT_MIN = 1e-9

/** A candidate's share: its target's within the model, times the model's beside others.
 *
 * A model without a share of its own still has targets that share what it gets when it is named. */
export function weightOf({ target, model }: Candidate): number {
  return Math.max(model.weight > 0 ? target.weight * model.weight : target.weight, WEIGHT_MIN)
}

/** A candidate's calls in flight by its weight. */
export function loadOf(candidate: Candidate, states: States): number {
  return states.target(candidate.target).inFlight / weightOf(candidate)
}

/** The candidates by rising rank; equal ranks keep their order.
 *
 * Inserting is quicker than `sort` for the few candidates of a model, and needs no comparator.
 *
 * @param ranks One for each candidate, in the same order; left sorted. */
export function ranked(candidates: readonly Candidate[], ranks: number[]): Candidate[] {
  const ordered = candidates.slice()
  for (let next = 1; next < ordered.length; next++) {
    const candidate = ordered[next] as Candidate
    const rank = ranks[next] as number
    let at = next
    for (; at > 0 && (ranks[at - 1] as number) > rank; at--) {
      ordered[at] = ordered[at - 1] as Candidate
      ranks[at] = ranks[at - 1] as number
    }
    ordered[at] = candidate
    ranks[at] = rank
  }
  return ordered
}

/** The candidates from the least to the most loaded; remembers nothing. */
export function byLoad(candidates: readonly Candidate[], states: States): readonly Candidate[] {
  if (candidates.length < 2) return candidates
  const ranks: number[] = []
  for (const candidate of candidates) ranks.push(loadOf(candidate, states))
  return ranked(candidates, ranks)
}
