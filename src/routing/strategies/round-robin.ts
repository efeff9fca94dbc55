import { ranked, type Strategy } from './strategy.ts'

/** Gives each call to the candidate whose last call is longest ago.
 *
 * Unlike a counter modulo the number of candidates, this stays fair when candidates come and go: the neighbour of an
 * unavailable one does not get a double share. */
export const roundRobin: Strategy = {
  name: 'round_robin',
  measure: 'whoever has waited longest',
  order(candidates, { turns }) {
    const ranks: number[] = []
    let latest = 0
    for (const candidate of candidates) {
      const turn = turns.get(candidate) ?? 0
      ranks.push(turn)
      if (turn > latest) latest = turn
    }
    const ordered = ranked(candidates, ranks)
    const [first] = ordered
    if (first !== undefined) turns.set(first, latest + 1)
    return ordered
  },
}
