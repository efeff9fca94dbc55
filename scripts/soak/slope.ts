/** A value at a time, in minutes. */
export interface Sample {
  readonly minutes: number
  readonly value: number
}

/** The lowest of each few samples that follow each other: memory that waits to be collected comes and goes, and what
 * leaks is still there when it has gone. */
export function floorsOf(samples: readonly Sample[], each: number): readonly Sample[] {
  const groups = Array.from({ length: Math.floor(samples.length / each) }, (_, at) =>
    samples.slice(at * each).slice(0, each),
  )
  return groups.map(group => group.reduce((least, sample) => (sample.value < least.value ? sample : least)))
}

/** How much a value grows a minute: the median of the slopes between all pairs of samples (Theil-Sen). One sample that
 * is far off moves it as little as any other; up to three in ten of them may be.
 *
 * @returns `null` for fewer than two samples. */
export function slopeOf(samples: readonly Sample[]): number | null {
  const slopes = samples
    .flatMap((from, at) =>
      samples.slice(at + 1).map(({ minutes, value }) => (value - from.value) / (minutes - from.minutes)),
    )
    .toSorted((left, right) => left - right)
  const middle = slopes.length / 2
  const [low, high] = [slopes[Math.ceil(middle) - 1], slopes[Math.floor(middle)]]
  return low === undefined || high === undefined ? null : (low + high) / 2
}
