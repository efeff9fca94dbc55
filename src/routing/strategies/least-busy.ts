import { loadOf, ranked, type Strategy, weightOf } from './strategy.ts'

/** The power of two choices (Mitzenmacher, 2001): of two candidates drawn at random, the one with fewer calls in flight
 * for its weight; if they are equal, the one drawn first. The first draw follows the weights.
 *
 * Always taking the least busy of all would send the next calls of every process to the same server. */
export const leastBusy: Strategy = {
  name: 'least_busy',
  reads: true,
  measure: 'calls in flight by weight; the better of two drawn at random comes first',
  score: (candidate, { states }) => loadOf(candidate, states),
  order(candidates, { states, random, prices }) {
    if (candidates.length < 2) return candidates
    const loads: number[] = []
    let total = 0
    for (const candidate of candidates) {
      loads.push(loadOf(candidate, states))
      total += weightOf(candidate)
    }
    let one = 0
    let rest = random() * total
    for (const candidate of candidates) {
      rest -= weightOf(candidate)
      if (rest < 0 || one === candidates.length - 1) break
      one++
    }
    const drawn = Math.floor(random() * (candidates.length - 1))
    const other = drawn < one ? drawn : drawn + 1
    const [load = 0, otherLoad = 0] = [loads[one], loads[other]]
    // Where prices matter, candidates are sorted by price, so that of two equally busy ones the earlier is the cheaper.
    const isOther = otherLoad < load || (prices !== null && otherLoad === load && other < one)
    loads[isOther ? other : one] = -1
    return ranked(candidates, loads)
  },
}
