import { ranked, type Strategy, weightOf } from './strategy.ts'

/** Smooth weighted round robin, as nginx does it: each call raises every candidate by its weight, and the highest one
 * is chosen and lowered by the sum of all weights.
 *
 * Over a full cycle the shares are exact, and a heavy candidate's calls are spread among the others' rather than
 * bunched. Behind the chosen one the others follow in the order in which they are owed a call. */
export const weightedRoundRobin: Strategy = {
  name: 'weighted_round_robin',
  measure: 'in turn, by weight',
  order(candidates, { turns }) {
    const ranks: number[] = []
    let total = 0
    for (const candidate of candidates) {
      const weight = weightOf(candidate)
      const turn = (turns.get(candidate) ?? 0) + weight
      turns.set(candidate, turn)
      ranks.push(-turn)
      total += weight
    }
    const ordered = ranked(candidates, ranks)
    const [first] = ordered
    if (first !== undefined) turns.set(first, -(ranks[0] ?? 0) - total)
    return ordered
  },
}
