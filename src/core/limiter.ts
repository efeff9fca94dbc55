import type { LimitName } from '#wire/keys.ts'

/** The periods for which requests and tokens are limited, the shortest first, in milliseconds. */
export const PERIODS = [
  ['minute', 60_000],
  ['hour', 3_600_000],
  ['day', 86_400_000],
] as const

/** What a limit counts: requests or tokens in a period, or requests that are under way. */
type Unit = 'requests' | 'tokens' | 'concurrent'

/** Limits as an operator writes them: 0 = none; what is absent is not said here. `burst` is how many requests may come at
 * once. */
export type LimitSet = { readonly [limit in LimitName | 'burst']?: number | null }

/** One limit as it holds for somebody: `burst` at once, and refilled at `limit` a period; or `limit` under way. */
export interface Bucket {
  /** Unique over all scopes and units, such as `address:203.0.113.7:requests/minute`. */
  readonly key: string
  /** The label that metrics and messages use: `global`, `tenant`, `key`, `user`, `address`, `model`, `class`. */
  readonly scope: string
  readonly unit: Unit
  readonly limit: number
  /** Milliseconds; 0 for `concurrent`. */
  readonly periodMs: number
  /** How many may come at once; the limit for `concurrent`. */
  readonly burst: number
}

/** How the tightest bucket of a unit stands after a decision. */
export interface Standing {
  readonly limit: number
  readonly remaining: number
  /** Until the bucket is full again. */
  readonly resetMs: number
}

/** A decision over several buckets. */
export interface Verdict {
  /** The bucket that refused, of several the one to wait for longest; `null` when all gave. */
  readonly refused: Bucket | null
  /** Until the same would pass, or pass once more when it did; 0 = at once, `Infinity` when it never will. What waits for
   * the end of other requests counts only where it refused. */
  readonly retryAfterMs: number
  /** `null` where no bucket counts them. */
  readonly requests: Standing | null
  readonly tokens: Standing | null
}

/** What a settlement changes: so many more were used than were taken, or fewer. */
export interface Correction {
  readonly requests: number
  readonly tokens: number
}

/** Decides over several buckets at once: all give, or none does. */
export interface Limiter {
  /** Takes one from each bucket of requests, `tokens` from each of tokens, and a lease of each of concurrency.
   *
   * @param owner Who has the leases; unique over all takes.
   * @returns The verdict, at once where the buckets are in the memory of this process.
   * @throws GatewayError `dependency_unavailable` when nobody can decide. */
  take(buckets: readonly Bucket[], tokens: number, owner: string): Verdict | Promise<Verdict>
  /** Gives back the leases of a take and corrects the rest; waits for nothing and never fails. */
  settle(buckets: readonly Bucket[], correction: Correction, owner: string): void
}

/** What is told to wait where only the end of another request can help, in milliseconds. */
export const LEASE_WAIT_MS = 1000

/** Milliseconds after which a bucket has one more; 0 for `concurrent`. */
export function intervalOf({ periodMs, limit }: Bucket): number {
  return periodMs / limit
}

/** How many more than were taken were used of what a bucket counts. */
export function changeOf({ unit }: Bucket, correction: Correction): number {
  return unit === 'concurrent' ? 0 : correction[unit]
}

/** What a take costs a bucket. */
export function costOf({ unit }: Bucket, tokens: number): number {
  return unit === 'tokens' ? tokens : 1
}
