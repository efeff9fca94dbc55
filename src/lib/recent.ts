/** The last numbers of a series, for computing quantiles. */
export interface Recent {
  readonly count: number
  add(value: number): void
  /** The smallest of the numbers that is not exceeded by this share of them; 0 when there are none.
   *
   * @param share Above 0, up to 1. */
  quantile(share: number): number
}

/** Creates a memory of the last `size` numbers. */
export function createRecent(size: number): Recent {
  const values = new Float64Array(size)
  let added = 0
  return {
    get count() {
      return Math.min(added, size)
    },
    add(value) {
      values[added++ % size] = value
    },
    quantile(share) {
      const sorted = values.slice(0, Math.min(added, size)).sort()
      return sorted[Math.ceil(sorted.length * share) - 1] ?? 0
    },
  }
}
