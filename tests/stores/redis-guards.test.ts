import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { type Clock, systemClock } from '#core/clock.ts'
import { createMemoryFailures } from '#stores/memory-failures.ts'
import { createMemoryReplays } from '#stores/memory-replays.ts'
import { openRedis, type Redis } from '#stores/redis.ts'
import { createRedisFailures } from '#stores/redis-failures.ts'
import { createRedisReplays } from '#stores/redis-replays.ts'
import { failuresContract } from '#tests/contract/failures.ts'
import { replaysContract } from '#tests/contract/replays.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { forgetAll, REDIS_FORMS, type RedisPlace, startRedis, startRedisAs } from '#tests/support/redis.ts'

setDefaultTimeout(60_000)

const real = systemClock()

const failuresOf = (redis: Redis, perMinute: () => number, clock: Clock) =>
  createRedisFailures({ redis, perMinute, local: createMemoryFailures({ perMinute, clock }), time: clock.now })
const replaysOf = (redis: Redis, clock: Clock) =>
  createRedisReplays({ redis, clock, local: createMemoryReplays(clock) })

describe.each(REDIS_FORMS)('in %s', form => {
  let place: RedisPlace
  let redis: Redis
  beforeAll(async () => {
    place = await startRedisAs(form)
    redis = openRedis({ urls: place.urls, timeoutMs: 5000, clock: real })
  })
  afterAll(async () => {
    redis.close()
    await place[Symbol.asyncDispose]()
  })

  failuresContract('failures', async (perMinute, clock) => {
    await redis.use(forgetAll)
    return failuresOf(redis, perMinute, clock)
  })
  replaysContract('signatures', async clock => {
    await redis.use(forgetAll)
    return replaysOf(redis, clock)
  })

  test('an address that sent wrong keys to one process has to wait at another one, too', async () => {
    await redis.use(forgetAll)
    const clock = fakeClock()
    const [here, there] = [failuresOf(redis, () => 3, clock), failuresOf(redis, () => 3, clock)]
    for (let n = 0; n < 3; n++) here.note('203.0.113.7')

    expect(Math.round(await there.waitMs('203.0.113.7'))).toBe(20_000)
    expect(await there.waitMs('203.0.113.8')).toBe(0)
  })

  test('a signature that one process accepted is refused by the others', async () => {
    await redis.use(forgetAll)
    const processes = Array.from({ length: 4 }, () => replaysOf(redis, real))

    const taken = await Promise.all(
      Array.from({ length: 40 }, (_, n) => processes[n % 4]?.take('web', 'same', real.time())),
    )

    expect(taken.filter(isNew => isNew)).toHaveLength(1)
  })
})

test('while Redis is away each process uses what it knows itself, after waiting once', async () => {
  await using server = await startRedis()
  const redis = openRedis({ urls: [server.url], timeoutMs: 300, clock: real })
  const [failures, replays] = [failuresOf(redis, () => 3, real), replaysOf(redis, real)]
  const at = real.time()
  for (let n = 0; n < 3; n++) failures.note('203.0.113.7')
  expect(await replays.take('web', 'before', at)).toBe(true)
  expect(await failures.waitMs('203.0.113.7')).toBeGreaterThan(19_000)

  server.pause()
  const since = performance.now()
  const taken = [
    await replays.take('web', 'before', at),
    await replays.take('web', 'during', at),
    await replays.take('web', 'during', at),
  ]
  const waits = [await failures.waitMs('203.0.113.7'), await failures.waitMs('203.0.113.8')]
  const tookMs = performance.now() - since
  server.resume()
  redis.close()

  expect(taken).toEqual([false, true, false])
  expect(waits[0]).toBeGreaterThan(15_000)
  expect(waits[1]).toBe(0)
  expect(tookMs).toBeLessThan(300 + 400)
})
