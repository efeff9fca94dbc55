import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { type Bucket, type Correction, changeOf, intervalOf, type Limiter, type Verdict } from '#core/limiter.ts'
import { createLeases } from './leases.ts'
import { createMemoryLimiter } from './memory-limiter.ts'
import { createOfflineLimiter, type Leased } from './offline-limiter.ts'
import type { Redis } from './redis.ts'
import { createRedisDecisions, LEASE_MS } from './redis-decisions.ts'
import { redisScript, sentScript } from './redis-script.ts'
import { admission, refusalOf } from './verdict.ts'

export interface RedisLimiterOptions {
  readonly redis: Pick<Redis, 'use' | 'available' | 'onBack'>
  readonly clock: Clock
  /** How many buckets are remembered for when Redis does not answer. */
  readonly entriesMax: number
  /** Unique over all processes that ever use this Redis. */
  readonly processId: string
  readonly settings: () => RedisLimiterSettings
  /** Milliseconds, in place of the clock of Redis. */
  readonly time?: () => number
}

interface RedisLimiterSettings {
  /** What happens while Redis does not answer: each process gives its share (`local`), or all is refused (`closed`). */
  readonly storeDown: 'local' | 'closed'
  /** The least number of processes that share the limits. */
  readonly processes: number
}

/** A limiter that many processes share. */
export interface RedisLimiter extends Limiter {
  /** Stops the renewal of leases and signs this process off. */
  close(): Promise<void>
}

/** The beginning of every key. The hash tag `{citadel}` keeps all keys on one node of a cluster. */
const PREFIX = '{citadel}:limits:'
const RENEW_MS = 10_000
/** How many values one renewal call carries: a key and an owner for each lease. */
const RENEWED_MAX = 1000
/** An owner that holds no leases. */
const NOBODY = ''
/** The running processes are counted as leases of this bucket. */
const PROCESSES: readonly Bucket[] = [
  { key: 'processes', scope: '', unit: 'concurrent', limit: 1, periodMs: 0, burst: 1 },
]
const NOTHING: Correction = { requests: 0, tokens: 0 }
/** How long a refusal of tokens or of a lease is repeated without asking Redis, in milliseconds. It is short because other
 * processes give tokens and leases back at any time. */
const BELIEVED_MS = 50
const UNAVAILABLE_RETRY_MS = 1000

const takeScript = redisScript('take', 'now')
// Sent in full, because no second try may bring a lease back that was given back meanwhile.
const renewScript = sentScript('renew', 'now')

/** Creates the limiter: a script in Redis decides over all buckets of a request in one round trip. Its answers are
 * remembered, so that requests that are known to be refused need no round trip, and so that this process can go on with
 * its share of each bucket while Redis does not answer. `take` fails with `dependency_unavailable` then, if `storeDown`
 * is `closed`. */
export function createRedisLimiter(options: RedisLimiterOptions): RedisLimiter {
  const { redis, clock, settings, processId, time = () => '' as const } = options
  const leases = createLeases()
  const shadow = createMemoryLimiter({ clock, entriesMax: options.entriesMax, leases })
  /** Until when a refusal of tokens or of a lease is repeated, in monotonic milliseconds, by the key of its bucket. */
  const believed = new Map<string, number>()
  let processes = 1
  const offline = createOfflineLimiter({
    clock,
    shadow,
    processes: () => Math.max(processes, settings().processes),
    entriesMax: options.entriesMax,
  })
  const decisions = createRedisDecisions({
    call: values => redis.use(client => takeScript(client, PREFIX, values)),
    time,
    // Redis may have done what it did not answer. Charging twice is harmless, giving back twice is not: repeat charges.
    onUnsettled(buckets, correction, owner) {
      offline.doubt({ buckets, owner })
      for (const bucket of buckets) {
        const change = changeOf(bucket, correction)
        if (change > 0) offline.owe(bucket, change)
      }
    },
  })
  let stopRenewal = ignore
  let closed = false

  /** The refusal that is known without asking Redis; `null` when Redis has to decide. */
  function known(buckets: readonly Bucket[], tokens: number): Verdict | null {
    const now = clock.now()
    const told = shadow.debts(buckets)
    const debts = [...told]
    for (let at = 0; at < buckets.length; at++) {
      const bucket = buckets[at]
      if (bucket === undefined || bucket.unit === 'requests') continue
      const isBelieved = (believed.get(bucket.key) ?? 0) > now
      if (bucket.unit === 'concurrent' && isBelieved) debts[at] = bucket.limit
      if (bucket.unit === 'tokens' && !isBelieved) debts[at] = 0
    }
    return refusalOf(buckets, debts, tokens, told)
  }

  function ask(buckets: readonly Bucket[], tokens: number, owner: string): Promise<Verdict> {
    return new Promise((resolve, reject) => {
      const since = clock.now()
      decisions.ask({
        buckets,
        tokens,
        owner,
        decide: (refused, debts) => resolve(follow(buckets, tokens, owner, { refused, debts, since })),
        giveUp() {
          offline.doubt({ buckets, owner })
          try {
            resolve(decideOffline(buckets, tokens, owner))
          } catch (thrown) {
            reject(thrown)
          }
        },
      })
    })
  }

  /** Remembers what Redis has decided. */
  function follow(
    buckets: readonly Bucket[],
    tokens: number,
    owner: string,
    { refused, debts, since }: { readonly refused: number; readonly debts: readonly number[]; readonly since: number },
  ): Verdict {
    for (let at = 0; at < buckets.length; at++) {
      const bucket = buckets[at]
      if (bucket === undefined) continue
      if (bucket.unit !== 'concurrent') shadow.follow(bucket, debts[at] ?? 0, since)
    }
    if (refused === 0) leases.add(buckets, owner)
    const by = buckets[refused - 1]
    if (by === undefined) return admission(buckets, debts, tokens)
    if (by.unit !== 'requests') believe(by)
    return refusalOf(buckets, debts, tokens) ?? admission(buckets, debts, tokens)
  }

  function believe({ key }: Bucket): void {
    if (believed.size >= options.entriesMax) believed.clear()
    believed.set(key, clock.now() + BELIEVED_MS)
  }

  function decideOffline(buckets: readonly Bucket[], tokens: number, owner: string): Verdict {
    if (settings().storeDown === 'local') return offline.take(buckets, tokens, owner)
    throw new GatewayError('dependency_unavailable', 'The store of the limits does not answer; try again shortly.', {
      retryAfterMs: UNAVAILABLE_RETRY_MS,
    })
  }

  /** Tells Redis what this process gave while it did not answer. The debts of its shares are void from then on; what it
   * gave is remembered until Redis has answered, because the share would be given again if the charge failed. */
  function payBack(): void {
    const untold = offline.collect()
    for (const { bucket, change } of untold.owed) {
      shadow.follow(bucket, Math.max(0, change) * intervalOf(bucket), clock.now())
      decisions.settle([bucket], { requests: change, tokens: change }, NOBODY)
    }
    if (untold.leases.length > 0) endLeases(untold.leases)
  }

  /** Ends leases in Redis that this process does not hold: they would count for as long as those of one that died. */
  function endLeases(doubtful: readonly Leased[]): void {
    const held = new Set(Array.from(leases.all(), ([, owner]) => owner))
    for (const { buckets, owner } of doubtful) if (!held.has(owner)) decisions.settle(buckets, NOTHING, owner)
  }

  async function renew(): Promise<void> {
    const all = [...leases.all()].flat()
    try {
      const calls: Promise<unknown>[] = []
      // Sent in one turn: a lease that is given back later is also given back later in Redis, so that no renewal in
      // flight brings it back.
      for (let at = 0; at === 0 || at < all.length; at += RENEWED_MAX) {
        const values = [time(), LEASE_MS, processId, ...all.slice(at, at + RENEWED_MAX)]
        calls.push(redis.use(client => renewScript(client, PREFIX, values)))
      }
      for (const alive of await Promise.all(calls)) processes = Number(alive)
    } catch {
      // Redis does not answer: the last known number of processes holds, and the next renewal tries again.
    }
    // Where Redis has just come back, the renewal that was planned is still to come.
    stopRenewal()
    if (!closed) stopRenewal = clock.after(RENEW_MS, renew)
  }
  void renew()
  // A Redis that comes back may have lost what is held here, and has not heard of what ended or began meanwhile.
  redis.onBack(() => {
    if (closed) return
    payBack()
    void renew()
  })

  return {
    take(buckets, tokens, owner) {
      if (buckets.length === 0) return admission(buckets, [], 0)
      if (!redis.available()) return decideOffline(buckets, tokens, owner)
      payBack()
      return known(buckets, tokens) ?? ask(buckets, tokens, owner)
    },
    settle(buckets, correction, owner) {
      if (!redis.available()) {
        offline.settle(buckets, correction, owner)
        return
      }
      payBack()
      shadow.settle(buckets, correction, owner)
      let isHeld = false
      for (const bucket of buckets) {
        if (bucket.unit !== 'concurrent' && changeOf(bucket, correction) === 0) continue
        believed.delete(bucket.key)
        isHeld = true
      }
      if (isHeld) decisions.settle(buckets, correction, owner)
    },
    async close() {
      closed = true
      stopRenewal()
      if (!redis.available()) return
      // If this fails, the lease of this process ends by itself.
      decisions.settle(PROCESSES, NOTHING, processId)
      await decisions.flush()
    },
  }
}

function ignore(): void {}
