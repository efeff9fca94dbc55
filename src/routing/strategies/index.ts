import type { StrategyName } from '#core/strategies.ts'
import { affinity } from './affinity.ts'
import { auto } from './auto.ts'
import { cost } from './cost.ts'
import { explicit } from './explicit.ts'
import { latency } from './latency.ts'
import { leastBusy } from './least-busy.ts'
import { random } from './random.ts'
import { resident } from './resident.ts'
import { roundRobin } from './round-robin.ts'
import type { Strategy } from './strategy.ts'
import { weightedRoundRobin } from './weighted-round-robin.ts'

const all: Readonly<Record<StrategyName, Strategy>> = {
  explicit,
  round_robin: roundRobin,
  weighted_round_robin: weightedRoundRobin,
  random,
  least_busy: leastBusy,
  latency,
  cost,
  affinity,
  resident,
  auto,
}

/** Every strategy by its name. */
export const STRATEGIES: ReadonlyMap<string, Strategy> = new Map(
  Object.values(all).map(strategy => [strategy.name, strategy]),
)

/** The strategy that the configuration names. The schema admits only known names; the default is used where settings
 * come from elsewhere. */
export function configuredStrategy(name: string): Strategy {
  return STRATEGIES.get(name) ?? weightedRoundRobin
}
