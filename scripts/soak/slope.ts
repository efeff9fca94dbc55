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

/** How much a value grows a minute, and how far that may be off (its standard error). */
export interface Slope {
  readonly perMinute: number
  readonly error: number
}

/** The slope of the straight line that fits best (least squares). */
export function slopeOf(samples: readonly Sample[]): Slope {
  const count = samples.length
  if (count < 3) return { perMinute: 0, error: Infinity }
  const sum = (of: (sample: Sample) => number) => samples.reduce((total, sample) => total + of(sample), 0)
  const middle = sum(({ minutes }) => minutes) / count
  const level = sum(({ value }) => value) / count
  const spread = sum(({ minutes }) => (minutes - middle) ** 2)
  const perMinute = sum(({ minutes, value }) => (minutes - middle) * (value - level)) / spread
  const rest = sum(({ minutes, value }) => (value - level - perMinute * (minutes - middle)) ** 2)
  return { perMinute, error: Math.sqrt(rest / (count - 2) / spread) }
}
