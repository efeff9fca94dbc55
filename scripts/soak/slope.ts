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

/** How much a value grows a minute: the slope of the straight line that fits best (least squares). */
export function slopeOf(samples: readonly Sample[]): number {
  const count = samples.length
  if (count < 2) return 0
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + of(sample), 0) / count
  const [middle, level] = [mean(sample => sample.minutes), mean(sample => sample.value)]
  let together = 0
  let spread = 0
  for (const { minutes, value } of samples) {
    together += (minutes - middle) * (value - level)
    spread += (minutes - middle) ** 2
  }
  return spread === 0 ? 0 : together / spread
}
