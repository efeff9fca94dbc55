import { afterAll, afterEach, beforeAll } from 'bun:test'
import { type Clock, systemClock } from '#core/clock.ts'
import type { Verdict } from '#core/limiter.ts'
import { openRedis, type Redis, type RedisClient } from '#stores/redis.ts'
import { createRedisLimiter, type RedisLimiter, type RedisLimiterOptions } from '#stores/redis-limiter.ts'
import { ask } from '#tests/contract/limiter.ts'
import { fakeClock } from './clock.ts'
import { forgetAll, type Redis as RedisServer, startRedis } from './redis.ts'

/** The real clocks. */
export const real = systemClock()

/** Whether a limiter let a call in. */
export const passed = (verdict: Verdict) => verdict.refused === null

const limiters: RedisLimiter[] = []

/** Creates a limiter, which `closeAll` closes. */
export function limiterOf(redis: RedisLimiterOptions['redis'], clock: Clock, more: Partial<RedisLimiterOptions> = {}) {
  const limiter = createRedisLimiter({
    ...{ redis, clock, entriesMax: 10_000, processId: crypto.randomUUID(), time: clock.now },
    settings: () => ({ storeDown: 'local', processes: 1 }),
    ...more,
  })
  limiters.push(limiter)
  return limiter
}

/** Closes every limiter that was created. */
export async function closeAll(): Promise<void> {
  for (const limiter of limiters.splice(0)) await limiter.close()
}

/** A real Redis for the tests of one `describe`, which can seem to be away. */
export function redisThatMayBeAway() {
  let server: RedisServer
  let redis: Redis
  const state = {
    clock: fakeClock(),
    /** Whether Redis cannot be reached. */
    away: false,
    /** How often Redis was called. */
    calls: 0,
    /** What waits for Redis to be back. */
    returns: [] as (() => void)[],
  }
  const heard: RedisLimiterOptions['redis'] = {
    use(work) {
      state.calls++
      return redis.use(work)
    },
    available: () => !state.away,
    onBack: run => void state.returns.push(run),
  }

  beforeAll(async () => {
    server = await startRedis()
    redis = openRedis({ urls: [server.url], timeoutMs: 5000, clock: real })
  }, 30_000)
  afterAll(async () => {
    redis.close()
    await server[Symbol.asyncDispose]()
  })
  afterEach(async () => {
    state.away = false
    state.returns = []
    await closeAll()
    await redis.use(forgetAll)
  })

  /** Limiters of several processes, with a clock that stands still. */
  function processes(
    count: number,
    settings: Partial<ReturnType<RedisLimiterOptions['settings']>> = {},
  ): RedisLimiter[] {
    state.clock = fakeClock()
    const all = () => ({ storeDown: 'local' as const, processes: 1, ...settings })
    return Array.from({ length: count }, () => limiterOf(heard, state.clock, { settings: all }))
  }

  /** Says to all limiters that Redis is back. */
  function comeBack(): void {
    state.away = false
    for (const run of state.returns) run()
  }

  return { state, heard, processes, comeBack, use: <T>(work: (client: RedisClient) => Promise<T>) => redis.use(work) }
}

/** How many of so many calls to each limiter are admitted. */
export async function admitted(all: readonly RedisLimiter[], tries: number, ...buckets: Parameters<typeof ask>[1]) {
  let count = 0
  for (const limiter of all) {
    for (let time = 0; time < tries; time++) if (passed(await ask(limiter, buckets))) count++
  }
  return count
}
