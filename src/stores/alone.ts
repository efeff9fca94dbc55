import type { Bucket, Correction, Verdict } from '#core/limiter.ts'
import { costOf } from '#core/limiter.ts'
import type { MemoryLimiter } from './memory-limiter.ts'
import { sharesOf } from './shares.ts'

/** What is owed to a bucket of all: how many more were given than it knows of. */
export interface Owed {
  readonly bucket: Bucket
  change: number
}

/** What a process decides while it cannot ask the others, and what it owes them for it. */
export interface Alone {
  take(buckets: readonly Bucket[], tokens: number, owner: string): Verdict
  settle(buckets: readonly Bucket[], correction: Correction, owner: string): void
  /** Adds to what is owed. */
  owe(bucket: Bucket, change: number): void
  /** Empties the list of what is owed. */
  collect(): readonly Owed[]
}

const NOTHING: readonly Owed[] = []
/** Has no leases. */
const NOBODY = ''

/** Creates it over the buckets as this process knows them.
 *
 * @param options.processes How many share the limits.
 * @param options.entriesMax Buckets to which something can be owed. */
export function createAlone(options: {
  readonly shadow: MemoryLimiter
  readonly processes: () => number
  readonly entriesMax: number
}): Alone {
  const { shadow, processes, entriesMax } = options
  const owed = new Map<string, Owed>()
  /** Whose takes were of shares. */
  const owners = new Set<string>()

  function owe(bucket: Bucket, change: number): void {
    if (bucket.unit === 'concurrent' || change === 0) return
    const known = owed.get(bucket.key)
    if (known !== undefined) known.change += change
    else if (owed.size < entriesMax) owed.set(bucket.key, { bucket, change })
  }

  return {
    owe,
    take(buckets, tokens, owner) {
      const own = sharesOf(buckets, tokens, processes())
      const verdict = shadow.take(own.buckets, own.tokens, owner)
      if (verdict.refused !== null) return { ...verdict, refused: own.whole(verdict.refused) }
      if (own.tokens < tokens) shadow.settle(own.buckets, { requests: 0, tokens: tokens - own.tokens }, NOBODY)
      for (const bucket of buckets) owe(bucket, costOf(bucket, tokens))
      owners.add(owner)
      return verdict
    },
    settle(buckets, correction, owner) {
      shadow.settle(owners.delete(owner) ? sharesOf(buckets, 0, processes()).buckets : buckets, correction, owner)
      for (const bucket of buckets) if (bucket.unit !== 'concurrent') owe(bucket, correction[bucket.unit])
    },
    collect() {
      owners.clear()
      if (owed.size === 0) return NOTHING
      const all = [...owed.values()]
      owed.clear()
      return all
    },
  }
}
