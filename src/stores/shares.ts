import type { Bucket } from '#core/limiter.ts'

/** This process's part of each bucket, for when it cannot ask Redis. */
export interface Shares {
  readonly buckets: readonly Bucket[]
  /** The tokens to ask a share for: the tokens of the call, but at most what a share can hold, because a call must not be
   * refused for being larger than a share. The rest is charged afterwards. */
  readonly tokens: number
  /** The bucket that a share is a part of. */
  whole(share: Bucket): Bucket
}

/** Divides buckets by the number of processes: a share refills that much more slowly and holds that much less, but at
 * least one request. A debt in milliseconds is therefore the same for the share and for the whole bucket. */
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
