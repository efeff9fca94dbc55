import type { Strategy } from './strategy.ts'

/** Keeps the order as it is, for callers who name a server and for operators who list the best server first. */
export const explicit: Strategy = {
  name: 'explicit',
  measure: 'in the order of the configuration',
  order: candidates => candidates,
}
