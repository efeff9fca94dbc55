import { type Dimension, OTHER } from './dimensions.ts'

/** One line of the Prometheus exposition. */
export interface Sample {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  /** With a suffix such as `_bucket`; the metric's name when absent. */
  readonly metricName?: string
}

/** A metric as the exposition reads it. */
export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  samples(): readonly Sample[]
}

/** What a counter or histogram is made of. */
export interface SeriesOptions {
  readonly name: string
  readonly help: string
  /** At most four. */
  readonly dimensions?: readonly Dimension[]
  /** How many series are kept; all further ones share one series whose labels are all `other`. */
  readonly seriesMax: number
}

const FIRST_SLOTS = 16

/** Maps the label values of a series, as numbers, to its index in the array of values. Index 0 is the shared series of
 * everything beyond `seriesMax`. */
class SlotTable {
  private readonly slots = new Map<number, number>()
  private readonly keys: number[] = [-1]
  private readonly dimensions: readonly Dimension[]
  private readonly seriesMax: number
  private readonly sizes: readonly [number, number, number]

  constructor({ dimensions = [], seriesMax }: SeriesOptions) {
    this.dimensions = dimensions
    this.seriesMax = seriesMax
    this.sizes = [dimensions[1]?.size ?? 1, dimensions[2]?.size ?? 1, dimensions[3]?.size ?? 1]
    if (dimensions.length === 0) this.find(0, 0, 0, 0)
  }

  get length(): number {
    return this.keys.length
  }

  find(a: number, b: number, c: number, d: number): number {
    const key = ((a * this.sizes[0] + b) * this.sizes[1] + c) * this.sizes[2] + d
    return this.slots.get(key) ?? this.open(key)
  }

  labels(slot: number): Record<string, string> {
    let key = this.keys[slot] ?? -1
    const labels: Record<string, string> = {}
    for (const { label, size, text } of this.dimensions.toReversed()) {
      labels[label] = key < 0 ? OTHER : text(key % size)
      key = key < 0 ? key : Math.floor(key / size)
    }
    return Object.fromEntries(Object.entries(labels).reverse())
  }

  private open(key: number): number {
    if (this.keys.length > this.seriesMax) return 0
    const slot = this.keys.push(key) - 1
    this.slots.set(key, slot)
    return slot
  }
}

/** A counter. All its series are stored in one array of numbers, so that counting allocates nothing. */
export interface Counter extends Metric {
  add(amount: number, a?: number, b?: number, c?: number, d?: number): void
}

/** Creates a counter; the numbers of `add` are those of its dimensions, in their order. */
export function createCounter(options: SeriesOptions): Counter {
  const table = new SlotTable(options)
  let values = new Float64Array(FIRST_SLOTS)
  return {
    name: options.name,
    help: options.help,
    type: 'counter',
    add(amount, a = 0, b = 0, c = 0, d = 0) {
      const slot = table.find(a, b, c, d)
      if (slot >= values.length) values = grown(values)
      values[slot] = (values[slot] ?? 0) + amount
    },
    samples() {
      const samples: Sample[] = []
      for (let slot = 0; slot < table.length; slot++) {
        const value = values[slot] ?? 0
        if (slot > 0 || value > 0) samples.push({ value, labels: table.labels(slot) })
      }
      return samples
    },
  }
}

/** A histogram. All its series are stored as rows of one array of numbers, so that observing allocates nothing. */
export interface Histogram extends Metric {
  observe(value: number, a?: number, b?: number): void
}

/** Creates a histogram.
 *
 * @param bounds The upper bounds of the buckets, ascending. */
export function createHistogram(options: SeriesOptions, bounds: readonly number[]): Histogram {
  const table = new SlotTable(options)
  // One row: a count for each bound, one for what is above them all, and the sum.
  const width = bounds.length + 2
  let rows = new Float64Array(FIRST_SLOTS * width)
  return {
    name: options.name,
    help: options.help,
    type: 'histogram',
    observe(value, a = 0, b = 0) {
      const row = table.find(a, b, 0, 0) * width
      while (row >= rows.length) rows = grown(rows)
      let bucket = 0
      while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++
      rows[row + bucket] = (rows[row + bucket] ?? 0) + 1
      rows[row + width - 1] = (rows[row + width - 1] ?? 0) + value
    },
    samples() {
      const samples: Sample[] = []
      for (let slot = 0; slot < table.length; slot++) {
        const row = rows.subarray(slot * width, (slot + 1) * width)
        if (slot > 0 || row.some(count => count > 0)) {
          samples.push(...histogramSamples(options.name, bounds, row, table.labels(slot)))
        }
      }
      return samples
    },
  }
}

function histogramSamples(
  name: string,
  bounds: readonly number[],
  row: Float64Array,
  labels: Readonly<Record<string, string>>,
): readonly Sample[] {
  const samples: Sample[] = []
  let count = 0
  for (let bucket = 0; bucket <= bounds.length; bucket++) {
    count += row[bucket] ?? 0
    const le = bounds[bucket] ?? '+Inf'
    samples.push({ metricName: `${name}_bucket`, value: count, labels: { ...labels, le } })
  }
  samples.push({ metricName: `${name}_sum`, value: row[bounds.length + 1] ?? 0, labels })
  samples.push({ metricName: `${name}_count`, value: count, labels })
  return samples
}

/** Creates a gauge whose value is read at each scrape.
 *
 * @param read One value, or one for each set of labels. */
export function createGauge(
  name: string,
  help: string,
  read: () => number | readonly Sample[],
  type: 'gauge' | 'counter' = 'gauge',
): Metric {
  return {
    name,
    help,
    type,
    samples() {
      const value = read()
      return typeof value === 'number' ? [{ value, labels: {} }] : value
    },
  }
}

function grown(values: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(values.length * 2)
  larger.set(values)
  return larger
}
