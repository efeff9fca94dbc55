import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { type Bucket, costOf, intervalOf, LEASE_WAIT_MS, type Limiter, type Verdict } from '#core/limiter.ts'
import { createAlone } from './alone.ts'
import { createLeases } from './leases.ts'
import { createMemoryLimiter } from './memory-limiter.ts'
import type { Redis } from './redis.ts'
import { redisScript } from './redis-script.ts'
import { admission, refusalOf } from './verdict.ts'

export interface RedisLimiterOptions {
  readonly redis: Pick<Redis, 'use' | 'available'>
  readonly clock: Clock
  /** Buckets that are remembered at once for when Redis is away. */
  readonly entriesMax: number
  /** Unique over all processes that ever use this Redis. */
  readonly processId: string
  readonly settings: () => RedisLimiterSettings
  /** Milliseconds, in place of the clock of Redis. */
  readonly time?: () => number
}

interface RedisLimiterSettings {
  /** Whether each process counts its share while Redis is away, or everything is refused. */
  readonly storeDown: 'local' | 'closed'
  /** The least number of processes that share the limits. */
  readonly processes: number
}

/** A limiter that many processes share. */
export interface RedisLimiter extends Limiter {
  /** Stops the renewal of leases and signs this process off. */
  close(): Promise<void>
}

/** What Redis is still to be told of a take. */
interface Settlement {
  readonly bucket: Bucket
  readonly change: number
  readonly owner: string
}

/** What every key begins with; the tag keeps them on one node of a cluster. */
const PREFIX = '{citadel}:limits:'
const LEASE_MS = 30_000
const RENEW_MS = 10_000
/** Names and owners of leases that are renewed in one call. */
const RENEWED_MAX = 1000
/** Has no leases. */
const NOBODY = ''
/** The list of processes that live, which is kept like leases. */
const PROCESSES: Bucket = { key: 'processes', scope: '', unit: 'concurrent', limit: 1, periodMs: 0, burst: 1 }
/** How long a refusal of tokens or of a lease is believed without asking again: what another process gives back is
 * noticed after so many milliseconds. */
const BELIEVED_MS = 50
const UNAVAILABLE_RETRY_MS = 1000

const takeScript = redisScript('take')
const renewScript = redisScript('renew')

/** Creates the limiter: one script decides over all buckets in one round trip. What it answers is remembered, so that
 * whatever is known to be refused is refused without asking, and so that this process can go on alone with its share
 * of each bucket when Redis is away. */
export function createRedisLimiter(options: RedisLimiterOptions): RedisLimiter {
  const { redis, clock, settings, processId, time = () => '' } = options
  const leases = createLeases()
  const shadow = createMemoryLimiter({ clock, entriesMax: options.entriesMax, leases })
  /** Until when a refusal of what may come back at any time is believed, by bucket. */
  const believed = new Map<string, number>()
  let processes = 1
  const alone = createAlone({
    shadow,
    processes: () => Math.max(processes, settings().processes),
    entriesMax: options.entriesMax,
  })
  let pending: Settlement[] = []
  let stopRenewal = ignore
  let closed = false

  function known(buckets: readonly Bucket[], tokens: number): Verdict | null {
    const now = clock.now()
    const debts = shadow.debts(buckets)
    for (let at = 0; at < buckets.length; at++) {
      const bucket = buckets[at]
      if (bucket === undefined || bucket.unit === 'requests') continue
      const isBelieved = (believed.get(bucket.key) ?? 0) > now
      if (bucket.unit === 'concurrent' && isBelieved) debts[at] = bucket.limit
      if (bucket.unit === 'tokens' && !isBelieved) debts[at] = 0
    }
    return refusalOf(buckets, debts, tokens)
  }

  /** Takes, and settles what waits for it. */
  async function call(buckets: readonly Bucket[], tokens: number, owner: string): Promise<unknown> {
    const settled = pending
    pending = []
    const values: (string | number)[] = [time(), LEASE_MS, owner, LEASE_WAIT_MS, settled.length]
    for (const { bucket, change, owner: whose } of settled) values.push(whose, bucket.key, intervalOf(bucket), change)
    for (const bucket of buckets) values.push(bucket.key, intervalOf(bucket), bucket.burst, costOf(bucket, tokens))
    try {
      return await redis.use(client => takeScript(client, PREFIX, values))
    } catch (thrown) {
      // What was not answered may have been done: twice charged is no harm, twice given back is.
      for (const { bucket, change } of settled) if (change > 0) alone.owe(bucket, change)
      throw thrown
    }
  }

  /** Settles with the next take, or at the end of this turn of the event loop. */
  function post(bucket: Bucket, change: number, owner: string): void {
    pending.push({ bucket, change, owner })
    if (pending.length > 1) return
    setImmediate(() => {
      if (pending.length > 0) call([], 0, NOBODY).catch(ignore)
    })
  }

  async function ask(buckets: readonly Bucket[], tokens: number, owner: string): Promise<Verdict> {
    const since = clock.now()
    let answer: unknown
    try {
      answer = await call(buckets, tokens, owner)
    } catch {
      return decideAlone(buckets, tokens, owner)
    }
    const [refused = 0, ...debts] = Array.isArray(answer) ? answer.map(Number) : []
    for (const [at, bucket] of buckets.entries()) {
      if (bucket.unit !== 'concurrent') shadow.follow(bucket, debts[at] ?? 0, since)
      else if (refused === 0) leases.add(bucket.key, owner)
    }
    const by = buckets[refused - 1]
    if (by === undefined) return admission(buckets, debts)
    if (by.unit !== 'requests') believe(by)
    return refusalOf(buckets, debts, tokens) ?? admission(buckets, debts)
  }

  function believe({ key }: Bucket): void {
    if (believed.size >= options.entriesMax) believed.clear()
    believed.set(key, clock.now() + BELIEVED_MS)
  }

  function decideAlone(buckets: readonly Bucket[], tokens: number, owner: string): Verdict {
    if (settings().storeDown === 'local') return alone.take(buckets, tokens, owner)
    throw new GatewayError('dependency_unavailable', 'The store of the limits does not answer; try again shortly.', {
      retryAfterMs: UNAVAILABLE_RETRY_MS,
    })
  }

  /** Charges to all what this process gave alone. From then on the debts of its shares mean nothing. */
  function payBack(): void {
    for (const { bucket, change } of alone.collect()) {
      shadow.follow(bucket, 0, clock.now())
      post(bucket, change, NOBODY)
    }
  }

  async function renew(): Promise<void> {
    const all = [...leases.all()].flat()
    try {
      for (let at = 0; at === 0 || at < all.length; at += RENEWED_MAX) {
        const values = [time(), LEASE_MS, processId, ...all.slice(at, at + RENEWED_MAX)]
        processes = Number(await redis.use(client => renewScript(client, PREFIX, values)))
      }
    } catch {
      // Redis is away: what was last heard of the others holds, and leases are renewed when it is back.
    }
    if (!closed) stopRenewal = clock.after(RENEW_MS, renew)
  }
  void renew()

  return {
    take(buckets, tokens, owner) {
      if (buckets.length === 0) return admission(buckets, [])
      if (!redis.available()) return decideAlone(buckets, tokens, owner)
      payBack()
      return known(buckets, tokens) ?? ask(buckets, tokens, owner)
    },
    settle(buckets, correction, owner) {
      if (!redis.available()) {
        alone.settle(buckets, correction, owner)
        return
      }
      payBack()
      shadow.settle(buckets, correction, owner)
      for (const bucket of buckets) {
        const change = bucket.unit === 'concurrent' ? 0 : correction[bucket.unit]
        if (bucket.unit !== 'concurrent' && change === 0) continue
        believed.delete(bucket.key)
        post(bucket, change, owner)
      }
    },
    async close() {
      closed = true
      stopRenewal()
      if (!redis.available()) return
      post(PROCESSES, 0, processId)
      await call([], 0, NOBODY).catch(ignore)
    },
  }
}

/** What was not settled is owed; a process that cannot sign off is missed soon. */
function ignore(): void {}
