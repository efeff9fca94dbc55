import { ranked, type Strategy, weightOf } from './strategy.ts'

/** Draws the candidates at random without replacement, each with a chance by its weight.
 *
 * Each candidate gets an exponentially distributed arrival time with its weight as the rate; the order of arrival is
 * exactly such a draw (Efraimidis and Spirakis, 2006). */
export const random: Strategy = {
  name: 'random',
  measure: 'at random, by weight',
  order(candidates, context) {
    const ranks: number[] = []
    for (const candidate of candidates) ranks.push(-Math.log(1 - context.random()) / weightOf(candidate))
    return ranked(candidates, ranks)
  },
}
