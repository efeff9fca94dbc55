import { ranked, type Strategy, weightOf } from './strategy.ts'

/** Smooth weighted round robin, as in nginx: each call raises every candidate by its weight; the highest one is chosen
 * and lowered by the sum of all weights.
 *
 * Over a full cycle the shares are exact, and the calls of a heavy candidate are spread among those of the others. The
 * candidates after the chosen one follow in the order in which they are owed a call. */
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
