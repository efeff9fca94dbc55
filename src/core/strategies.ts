/** The strategies by the names that the configuration and callers give them. */
export const STRATEGY_NAMES = [
  'round_robin',
  'weighted_round_robin',
  'random',
  'least_busy',
  'latency',
  'cost',
  'affinity',
  'resident',
  'explicit',
  'auto',
] as const
export type StrategyName = (typeof STRATEGY_NAMES)[number]
