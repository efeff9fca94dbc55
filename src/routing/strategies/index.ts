import { explicit } from './explicit.ts'
import { leastBusy } from './least-busy.ts'
import { random } from './random.ts'
import { roundRobin } from './round-robin.ts'
import type { Strategy } from './strategy.ts'
import { weightedRoundRobin } from './weighted-round-robin.ts'

/** Every strategy by its name in the configuration. A new one is a file and a line here. */
export const STRATEGIES: ReadonlyMap<string, Strategy> = new Map(
  [explicit, roundRobin, weightedRoundRobin, random, leastBusy].map(strategy => [strategy.name, strategy]),
)

/** The strategy of a name.
 *
 * @returns `substituted` when there is none of that name and the weighted round robin stands in for it. */
export function strategyFor(name: string): { readonly strategy: Strategy; readonly substituted: boolean } {
  const strategy = STRATEGIES.get(name)
  return { strategy: strategy ?? weightedRoundRobin, substituted: strategy === undefined }
}
