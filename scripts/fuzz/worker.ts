// The part of the fuzzing that may hang: reads one answer after the other, and tells how far it is.
import { compareReadings } from '#tests/support/compare-readings.ts'

/** What the worker tells after each thousand answers, and at the first that is read wrongly. */
export interface Told {
  readonly done: number
  readonly seed: number
  readonly failure: string | null
  /** How many answers ended how. */
  readonly counts: Readonly<Record<string, number>>
}

declare const self: Worker

self.onmessage = ({ data }: MessageEvent<{ runs: number; seed: number }>) => {
  const counts: Record<string, number> = {}
  for (let run = 0; run < data.runs; run++) {
    const seed = data.seed + run
    const { difference, end } = compareReadings(seed)
    counts[end] = (counts[end] ?? 0) + 1
    if (difference !== null) return self.postMessage({ done: run, seed, failure: difference, counts } satisfies Told)
    if ((run + 1) % 1000 === 0 || run + 1 === data.runs) {
      self.postMessage({ done: run + 1, seed, failure: null, counts } satisfies Told)
    }
  }
}
