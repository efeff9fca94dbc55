import type { Clock } from '#core/clock.ts'
import { type Bucket, type Correction, costOf, intervalOf, type Verdict } from '#core/limiter.ts'
import type { MemoryLimiter } from './memory-limiter.ts'
import { sharesOf } from './shares.ts'

/** What is owed to a bucket of all: how many more were given than it knows of. */
export interface Owed {
  readonly bucket: Bucket
  readonly change: number
}

/** What was given of one bucket that the others have not heard of. */
interface Account {
  readonly bucket: Bucket
  /** What was given of the share of this process. */
  shared: number
  /** What was corrected of takes that the others know. */
  corrected: number
  /** When the bucket would be full again without what was given of the share, in monotonic milliseconds. */
  fullAt: number
}

/** What a process decides while it cannot ask the others, and what it owes them for it. */
export interface Alone {
  take(buckets: readonly Bucket[], tokens: number, owner: string): Verdict
  settle(buckets: readonly Bucket[], correction: Correction, owner: string): void
  /** Adds a correction that the shadow knows already to what is owed. */
  owe(bucket: Bucket, change: number): void
  /** Empties the list of what is owed: of what was given of shares so much as has not come back since. */
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
  readonly clock: Pick<Clock, 'now'>
  readonly shadow: MemoryLimiter
  readonly processes: () => number
  readonly entriesMax: number
}): Alone {
  const { clock, shadow, processes, entriesMax } = options
  const accounts = new Map<string, Account>()
  /** Whose takes were of shares. */
  const owners = new Set<string>()

  const debtOf = (bucket: Bucket) => shadow.debts([bucket])[0] ?? 0

  function open(bucket: Bucket, given: Omit<Account, 'bucket'>): void {
    if (accounts.size < entriesMax) accounts.set(bucket.key, { bucket, ...given })
  }

  /** @param debt Of the bucket before it gave. */
  function give(bucket: Bucket, tokens: number, debt: number): void {
    if (bucket.unit === 'concurrent') return
    const account = accounts.get(bucket.key)
    const shared = costOf(bucket, tokens)
    if (account === undefined) open(bucket, { shared, corrected: 0, fullAt: clock.now() + debt })
    else account.shared += shared
  }

  function owe(bucket: Bucket, change: number): void {
    if (bucket.unit === 'concurrent' || change === 0) return
    const account = accounts.get(bucket.key)
    if (account === undefined) {
      open(bucket, { shared: 0, corrected: change, fullAt: clock.now() + debtOf(bucket) })
      return
    }
    account.corrected += change
    account.fullAt = Math.max(account.fullAt, clock.now()) + change * intervalOf(bucket)
  }

  function owedOf({ bucket, shared, corrected, fullAt }: Account): Owed {
    const grown = debtOf(bucket) - Math.max(0, fullAt - clock.now())
    const left = grown / (intervalOf(bucket) * processes())
    return { bucket, change: corrected + Math.min(shared, Math.max(0, left)) }
  }

  return {
    owe,
    take(buckets, tokens, owner) {
      const own = sharesOf(buckets, tokens, processes())
      const debts = [...shadow.debts(buckets)]
      const verdict = shadow.take(own.buckets, own.tokens, owner)
      if (verdict.refused !== null) return { ...verdict, refused: own.whole(verdict.refused) }
      if (own.tokens < tokens) shadow.settle(own.buckets, { requests: 0, tokens: tokens - own.tokens }, NOBODY)
      for (const [at, bucket] of buckets.entries()) give(bucket, tokens, debts[at] ?? 0)
      owners.add(owner)
      return verdict
    },
    settle(buckets, correction, owner) {
      const isShare = owners.delete(owner)
      shadow.settle(isShare ? sharesOf(buckets, 0, processes()).buckets : buckets, correction, owner)
      for (const bucket of buckets) {
        if (bucket.unit === 'concurrent') continue
        const account = accounts.get(bucket.key)
        if (!isShare) owe(bucket, correction[bucket.unit])
        else if (account !== undefined) account.shared += correction[bucket.unit]
      }
    },
    collect() {
      owners.clear()
      if (accounts.size === 0) return NOTHING
      const all = [...accounts.values()].map(owedOf)
      accounts.clear()
      return all
    },
  }
}
