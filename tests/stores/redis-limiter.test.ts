import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Clock } from '#core/clock.ts'
import { openRedis, type Redis } from '#stores/redis.ts'
import type { RedisLimiter } from '#stores/redis-limiter.ts'
import { ask, bucket, limiterContract } from '#tests/contract/limiter.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { forgetAll, REDIS_FORMS, type RedisPlace, startRedisAs } from '#tests/support/redis.ts'
import { closeAll, limiterOf, passed, real } from '#tests/support/redis-limiters.ts'

describe.each(REDIS_FORMS)('with %s', form => {
  let place: RedisPlace
  let redis: Redis

  beforeAll(async () => {
    place = await startRedisAs(form)
    redis = openRedis({ urls: place.urls, timeoutMs: 5000, clock: real })
  }, 60_000)

  afterAll(async () => {
    await closeAll()
    redis.close()
    await place[Symbol.asyncDispose]()
  })

  async function create(clock: Clock): Promise<RedisLimiter> {
    await closeAll()
    await redis.use(forgetAll)
    return limiterOf(redis, clock)
  }

  limiterContract('the limiter', create, 10)

  test('a refusal that is decided without Redis reports the tokens, too', async () => {
    const limiter = await create(fakeClock())
    const both = [bucket({ limit: 60, burst: 1 }), bucket({ key: 'tokens', unit: 'tokens', limit: 100 })]
    await ask(limiter, both, 30)

    const { refused, tokens } = await ask(limiter, both, 30)

    expect(refused?.unit).toBe('requests')
    expect(tokens).toEqual({ limit: 100, remaining: 70, resetMs: 18_000 })
  })

  test('four processes together admit what one may, by the clock of Redis', async () => {
    await create(fakeClock())
    const four = Array.from({ length: 4 }, () => limiterOf(redis, real, { time: undefined }))
    const ten = bucket({ limit: 10 })

    const asked = four.flatMap(limiter => Array.from({ length: 25 }, () => ask(limiter, [ten])))
    const verdicts = await Promise.all(asked)

    expect(verdicts.filter(passed)).toHaveLength(10)
  })

  test('nobody has to wait longer because the clock of Redis was set back', async () => {
    const clock = fakeClock()
    let offset = 86_400_000
    await create(clock)
    await closeAll()
    const limiter = limiterOf(redis, clock, { time: () => clock.now() + offset })
    const both = [bucket({ limit: 60, burst: 2 }), bucket({ key: 'tokens', unit: 'tokens', limit: 60 })]
    const verdicts: [boolean, number][] = []
    for (const step of [0, -3_600_000, 3_600_000, -86_400_000]) {
      offset += step
      for (let times = 0; times < 3; times++) {
        const { refused, retryAfterMs } = await ask(limiter, both, 1)
        verdicts.push([refused === null, retryAfterMs])
      }
      clock.advance(10_000)
    }

    const burst = [
      [true, 0],
      [true, 1000],
      [false, 1000],
    ] as const
    expect(verdicts).toEqual([...burst, ...burst, ...burst, ...burst].map(verdict => [...verdict]))
  })

  test('leases that are given back during their renewal stay given back', async () => {
    const clock = fakeClock()
    const other = await create(clock)
    const [answered, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let isSlow = false
    const slow: Redis['use'] = async work => {
      const [wait, given] = [isSlow, await redis.use(work)]
      if (wait) {
        isSlow = false
        answered.resolve()
        await answer.promise
      }
      return given
    }
    const one = limiterOf({ ...redis, use: slow }, clock)
    const many = bucket({ unit: 'concurrent', limit: 600 })
    const owners = Array.from({ length: 600 }, (_, index) => `request-${index}`)
    await Promise.all(owners.map(owner => one.take([many], 0, owner)))

    isSlow = true
    clock.advance(10_000)
    await answered.promise
    for (const owner of owners) one.settle([many], { requests: 0, tokens: 0 }, owner)
    await ask(one, [bucket({ key: 'settled with this' })])
    answer.resolve()
    await settled(20)
    await ask(one, [bucket({ key: 'renewed before this' })])
    const verdicts = await Promise.all(owners.map(() => ask(other, [many])))

    expect(verdicts.filter(passed)).toHaveLength(600)
  })

  test('every key in Redis expires: those of buckets and leases, and the list of processes', async () => {
    const clock = fakeClock()
    const limiter = await create(clock)
    const buckets = [
      bucket({ key: 'requests' }),
      bucket({ key: 'tokens', unit: 'tokens', limit: 100 }),
      bucket({ key: 'places', unit: 'concurrent', limit: 2 }),
    ]
    await ask(limiter, buckets, 50)

    const lives = await redis.use(client =>
      Promise.all(['requests', 'tokens', 'places', 'processes'].map(key => client.pttl(`{citadel}:limits:${key}`))),
    )

    await redis.use(client => client.pexpire('{citadel}:limits:places', 1000))
    clock.advance(10_000)
    await ask(limiter, [bucket({ key: 'told behind the renewal' })])
    const renewed = await redis.use(client => client.pttl('{citadel}:limits:places'))

    expect(renewed).toBeGreaterThan(30_000)
    // A lease lasts half a minute; ten seconds are to spare.
    const [least, most] = [
      [1000, 30_000, 30_000, 30_000],
      [11_000, 40_000, 40_000, 40_000],
    ]
    expect(lives.map((ms, at) => ms > (least[at] ?? 0) && ms <= (most[at] ?? 0))).toEqual([true, true, true, true])
  })

  test('the leases of a process that died end, and those of a running one do not', async () => {
    const clock = fakeClock()
    const one = await create(clock)
    const stranger = limiterOf(redis, clock)
    const places = bucket({ unit: 'concurrent', limit: 2 })
    const few = bucket({ key: 'few', unit: 'concurrent', limit: 1 })
    const dead = limiterOf(
      { ...redis, use: work => (isDead ? Promise.reject(new Error('dead')) : redis.use(work)) },
      clock,
    )
    let isDead = false
    await ask(dead, [places])
    await ask(one, [places, few])
    isDead = true

    const before = await ask(one, [places])
    for (let second = 0; second < 31; second++) {
      clock.advance(1000)
      await ask(one, [bucket({ key: 'passing time' })])
    }
    // Asked by one that does not know by itself what is out.
    const after = [await ask(stranger, [places]), await ask(stranger, [places]), await ask(stranger, [few])]

    expect([before, ...after].map(passed)).toEqual([false, true, false, false])
  })
})
