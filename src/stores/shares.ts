import type { Bucket } from '#core/limiter.ts'

/** What one of several processes may give of each bucket when it cannot ask the others. */
export interface Shares {
  readonly buckets: readonly Bucket[]
  /** The tokens that a take may ask for: no more than a share ever holds, since a call must not be shut out because it
   * is larger than a share. What it needs above is charged afterwards. */
  readonly tokens: number
  /** The whole bucket that a share is of. */
  whole(share: Bucket): Bucket
}

/** Divides buckets by the number of processes: a share refills so much more slowly and holds so much less, but one
 * request at least. A debt in milliseconds is the same for the share and the whole. */
export function sharesOf(whole: readonly Bucket[], tokens: number, processes: number): Shares {
  const buckets = whole.map(bucket => shareOf(bucket, processes))
  let most = tokens
  for (const [at, { unit, burst }] of buckets.entries()) {
    if (unit === 'tokens' && tokens <= (whole[at]?.burst ?? 0)) most = Math.min(most, burst)
  }
  return { buckets, tokens: most, whole: share => whole[buckets.indexOf(share)] ?? share }
}

function shareOf(bucket: Bucket, processes: number): Bucket {
  const { unit, limit, periodMs, burst } = bucket
  if (unit === 'concurrent') return { ...bucket, limit: Math.max(1, Math.floor(limit / processes)) }
  return { ...bucket, periodMs: periodMs * processes, burst: Math.max(1, burst / processes) }
}
