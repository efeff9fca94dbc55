/** A token bucket: `burst` at once, refilled at `perMinute` a minute. */
export interface Bucket {
  /** Unique over all scopes, such as `client:203.0.113.7`. */
  readonly key: string
  /** The label that metrics and messages use: `global`, `key`, `address`. */
  readonly scope: string
  readonly perMinute: number
  readonly burst: number
}

/** The state of the tightest bucket after a decision. */
export interface Verdict {
  readonly allowed: boolean
  readonly scope: string
  readonly limit: number
  readonly remaining: number
  /** Until the next request would pass; 0 when it would now. */
  readonly retryAfterMs: number
  /** Until the bucket is full again. */
  readonly resetMs: number
}

/** Decides over several buckets at once: all give, or none does. */
export interface Limiter {
  /** Takes one from every bucket. `null` when there is no bucket. */
  take(buckets: readonly Bucket[]): Verdict | null
}
