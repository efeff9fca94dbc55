import { type Bucket, costOf, intervalOf, LEASE_WAIT_MS, type Standing, type Verdict } from '#core/limiter.ts'

/** The tolerance for floating point sums of intervals, in milliseconds. */
const ROUNDING_MS = 1e-4

/** Milliseconds until a bucket can give `cost`: 0 or less = now, `Infinity` = never, because it holds less.
 *
 * @param debt Milliseconds until the bucket is full; for the unit `concurrent`, the number of leases that are held. */
function waitFor(bucket: Bucket, debt: number, cost: number): number {
  if (bucket.unit === 'concurrent') return debt >= bucket.limit ? LEASE_WAIT_MS : 0
  if (cost > bucket.burst) return Infinity
  return debt - (bucket.burst - cost) * intervalOf(bucket)
}

/** Decides whether a take is refused: by the bucket with the longest wait; `null` when every bucket can give.
 *
 * @param debts The debt of each bucket, which decides.
 * @param told The debt of each bucket that the verdict reports, where another one is to be shown (default `debts`). */
export function refusalOf(
  buckets: readonly Bucket[],
  debts: readonly number[],
  tokens: number,
  told: readonly number[] = debts,
): Verdict | null {
  let refused: Bucket | null = null
  let longest = ROUNDING_MS
  for (let at = 0; at < buckets.length; at++) {
    const bucket = buckets[at]
    if (bucket === undefined) continue
    const wait = waitFor(bucket, debts[at] ?? 0, costOf(bucket, tokens))
    if (wait > longest) {
      refused = bucket
      longest = wait
    }
  }
  return refused && judge(buckets, told, refused, longest)
}

/** Makes the verdict of a take that passed.
 *
 * @param debts The debt of each bucket after the take. */
export function admission(buckets: readonly Bucket[], debts: readonly number[], tokens: number): Verdict {
  let longest = 0
  for (let at = 0; at < buckets.length; at++) {
    const bucket = buckets[at]
    if (bucket === undefined || bucket.unit === 'concurrent') continue
    const wait = waitFor(bucket, debts[at] ?? 0, costOf(bucket, tokens))
    if (wait > longest) longest = wait
  }
  return judge(buckets, debts, null, longest)
}

/** Makes a verdict. For requests and for tokens it reports the bucket that refused, or else the one with the least left;
 * of several with equally little left, the one that is full again last. */
function judge(buckets: readonly Bucket[], debts: readonly number[], refused: Bucket | null, wait: number): Verdict {
  return {
    refused,
    retryAfterMs: wait > ROUNDING_MS ? Math.ceil(wait - ROUNDING_MS) : 0,
    requests: tightest('requests', buckets, debts, refused),
    tokens: tightest('tokens', buckets, debts, refused),
  }
}

function tightest(
  unit: Bucket['unit'],
  buckets: readonly Bucket[],
  debts: readonly number[],
  refused: Bucket | null,
): Standing | null {
  let found: Bucket | null = null
  let remaining = Infinity
  let debt = 0
  for (let at = 0; at < buckets.length; at++) {
    const bucket = buckets[at]
    if (bucket === undefined || bucket.unit !== unit) continue
    const own = debts[at] ?? 0
    const left = Math.max(0, Math.floor(bucket.burst - (own - ROUNDING_MS) / intervalOf(bucket)))
    if (bucket !== refused && (left > remaining || (left === remaining && own <= debt))) continue
    found = bucket
    remaining = left
    debt = own
    if (bucket === refused) break
  }
  return found && { limit: found.limit, remaining, resetMs: Math.ceil(debt - ROUNDING_MS) }
}
