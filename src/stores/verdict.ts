import { type Bucket, costOf, intervalOf, LEASE_WAIT_MS, type Standing, type Verdict } from '#core/limiter.ts'

/** Sums of intervals that are no whole milliseconds may be off by less than this, in milliseconds. */
const ROUNDING_MS = 1e-4

/** How long a bucket makes wait; nothing or less when it gives at once, `Infinity` when it never can.
 *
 * @param debt Milliseconds until the bucket is full; of `concurrent`, the leases that are out. */
function waitFor(bucket: Bucket, debt: number, cost: number): number {
  if (bucket.unit === 'concurrent') return debt >= bucket.limit ? LEASE_WAIT_MS : 0
  if (cost > bucket.burst) return Infinity
  return debt - (bucket.burst - cost) * intervalOf(bucket)
}

/** The refusal that a take would meet; `null` when every bucket gives.
 *
 * @param debts Of each bucket as it is now.
 * @param told What is said of them, where that is not what decides. */
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

/** Writes the verdict of a take that passed.
 *
 * @param debts Of each bucket as it is now, after the take. */
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

/** Writes the verdict of a decision: of each unit the bucket with the least left, of equals the slower one, before all
 * the one that refused. */
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
