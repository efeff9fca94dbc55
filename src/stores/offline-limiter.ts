import type { Clock } from '#core/clock.ts'
import { type Bucket, type Correction, costOf, intervalOf, type Verdict } from '#core/limiter.ts'
import type { MemoryLimiter } from './memory-limiter.ts'
import { sharesOf } from './shares.ts'

/** How many more requests or tokens were taken from a shared bucket than Redis knows of. */
export interface Owed {
  readonly bucket: Bucket
  readonly change: number
}

/** What Redis has to be told when it is back. */
export interface Untold {
  readonly owed: readonly Owed[]
  /** Leases that Redis may still count, although their owners may have given them back, or never had them. */
  readonly leases: readonly Leased[]
}

/** A take of which Redis may have noted leases. */
export interface Leased {
  readonly buckets: readonly Bucket[]
  readonly owner: string
}

/** What was taken from one bucket without Redis. */
interface Account {
  readonly bucket: Bucket
  /** Taken from the share of this process. */
  shared: number
  /** Corrections of earlier takes, which Redis does know. */
  corrected: number
  /** When the bucket would be full again without `shared`, in monotonic milliseconds. */
  fullAt: number
}

/** Decides while Redis does not answer, from this process's share of each bucket, and remembers what Redis has to be
 * told afterwards. */
export interface OfflineLimiter {
  take(buckets: readonly Bucket[], tokens: number, owner: string): Verdict
  settle(buckets: readonly Bucket[], correction: Correction, owner: string): void
  /** Adds a correction to what is owed; `shadow` has it already. */
  owe(bucket: Bucket, change: number): void
  /** Remembers leases that Redis may count without this process knowing. */
  doubt(leased: Leased): void
  /** Returns what Redis was not told, and forgets it. What has refilled since is not owed any more. */
  collect(): Untold
}

const NOTHING: Untold = { owed: [], leases: [] }
/** An owner that holds no leases. */
const NOBODY = ''

/** Creates the limiter for an outage of Redis.
 *
 * @param options.shadow The buckets as this process knows them.
 * @param options.processes How many processes share the limits.
 * @param options.entriesMax For how many buckets it remembers what is owed, and how many leases; what further ones give is
 * not charged, and further leases end by themselves. */
export function createOfflineLimiter(options: {
  readonly clock: Pick<Clock, 'now'>
  readonly shadow: MemoryLimiter
  readonly processes: () => number
  readonly entriesMax: number
}): OfflineLimiter {
  const { clock, shadow, processes, entriesMax } = options
  const accounts = new Map<string, Account>()
  /** The requests that took from a share and are not settled yet. */
  const owners = new Set<string>()
  let leases: Leased[] = []

  const debtOf = (bucket: Bucket) => shadow.debts([bucket])[0] ?? 0

  function open(bucket: Bucket, given: Omit<Account, 'bucket'>): void {
    if (accounts.size < entriesMax) accounts.set(bucket.key, { bucket, ...given })
  }

  /** @param debt The bucket's debt before the take, in milliseconds. */
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

  function doubt(leased: Leased): void {
    if (leases.length < entriesMax && leased.buckets.some(({ unit }) => unit === 'concurrent')) leases.push(leased)
  }

  return {
    owe,
    doubt,
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
      if (!isShare) doubt({ buckets, owner })
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
      if (accounts.size === 0 && leases.length === 0) return NOTHING
      const untold = { owed: [...accounts.values()].map(owedOf), leases }
      accounts.clear()
      leases = []
      return untold
    },
  }
}
