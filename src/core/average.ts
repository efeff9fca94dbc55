import type { Average, TargetState } from './states.ts'

/** The weight of a new sample: the last ten or so are what counts. */
const WEIGHT = 0.2

/** Takes a sample into an average. */
export function addSample(average: Average, ms: number, now: number): void {
  average.ms = average.at === 0 ? ms : average.ms + WEIGHT * (ms - average.ms)
  average.at = now
}

/** Takes in that something took at least so long, of which it is not known how long it would have taken. */
export function addAtLeast(average: Average, ms: number, now: number): void {
  if (ms > average.ms) addSample(average, ms, now)
}

/** The average that a call adds to, and is chosen by. */
export function averageFor(state: TargetState, stream: boolean): Average {
  return stream ? state.ewma.streamed : state.ewma.plain
}
