import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import type { Clock } from '#core/clock.ts'
import type { Verdict } from '#core/limiter.ts'
import { createWheel } from '#lib/wheel.ts'
import { openRedis, type Redis } from '#stores/redis.ts'
import { createRedisLimiter, type RedisLimiter, type RedisLimiterOptions } from '#stores/redis-limiter.ts'
import { ask, bucket, limiterContract } from '#tests/contract/limiter.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import {
  forgetAll,
  REDIS_FORMS,
  type RedisPlace,
  type Redis as RedisServer,
  startRedis,
  startRedisAs,
} from '#tests/support/redis.ts'

const real = { now: () => performance.now(), time: () => Date.now(), after: createWheel() }
const NOTHING = { requests: 0, tokens: 0 }
const passed = (verdict: Verdict) => verdict.refused === null
const limiters: RedisLimiter[] = []

function limiterOf(redis: RedisLimiterOptions['redis'], clock: Clock, more: Partial<RedisLimiterOptions> = {}) {
  const limiter = createRedisLimiter({
    ...{ redis, clock, entriesMax: 10_000, processId: crypto.randomUUID(), time: clock.now },
    settings: () => ({ storeDown: 'local', processes: 1 }),
    ...more,
  })
  limiters.push(limiter)
  return limiter
}

async function closeAll(): Promise<void> {
  for (const limiter of limiters.splice(0)) await limiter.close()
}

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

  test('a refusal that needs no asking tells how the tokens stand, too', async () => {
    const limiter = await create(fakeClock())
    const both = [bucket({ limit: 60, burst: 1 }), bucket({ key: 'tokens', unit: 'tokens', limit: 100 })]
    await ask(limiter, both, 30)

    const { refused, tokens } = await ask(limiter, both, 30)

    expect(refused?.unit).toBe('requests')
    expect(tokens).toEqual({ limit: 100, remaining: 70, resetMs: 18_000 })
  })

  test('four processes admit together what one may, by the clock of Redis', async () => {
    await create(fakeClock())
    const four = Array.from({ length: 4 }, () => limiterOf(redis, real, { time: undefined }))
    const ten = bucket({ limit: 10 })

    const asked = four.flatMap(limiter => Array.from({ length: 25 }, () => ask(limiter, [ten])))
    const verdicts = await Promise.all(asked)

    expect(verdicts.filter(passed)).toHaveLength(10)
  })

  test('a clock of Redis that is set back, or forward and back, makes nobody wait for it', async () => {
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

  test('leases that are given back while they are renewed stay given back', async () => {
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

  test('no key stays for ever: not of a bucket, nor of a lease, nor the list of processes', async () => {
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

  test('the leases of a process that died end, those of one that lives do not', async () => {
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

describe('while Redis is away', () => {
  let server: RedisServer
  let redis: Redis
  let clock: ReturnType<typeof fakeClock>
  /** Whether Redis can be heard. */
  let away = false
  let calls = 0
  /** What waits for Redis to be back. */
  let backs: (() => void)[] = []
  const heard: RedisLimiterOptions['redis'] = {
    use(work) {
      calls++
      return redis.use(work)
    },
    available: () => !away,
    onBack: run => void backs.push(run),
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
    away = false
    backs = []
    await closeAll()
    await redis.use(forgetAll)
  })

  function processes(
    count: number,
    settings: Partial<ReturnType<RedisLimiterOptions['settings']>> = {},
  ): RedisLimiter[] {
    clock = fakeClock()
    const all = () => ({ storeDown: 'local' as const, processes: 1, ...settings })
    return Array.from({ length: count }, () => limiterOf(heard, clock, { settings: all }))
  }

  async function admitted(all: readonly RedisLimiter[], tries: number, ...buckets: Parameters<typeof ask>[1]) {
    let count = 0
    for (const limiter of all) {
      for (let time = 0; time < tries; time++) if (passed(await ask(limiter, buckets))) count++
    }
    return count
  }

  test('each process admits its share of the limit, of all that were last seen', async () => {
    const four = processes(4)
    const one = bucket({ limit: 40 })
    await admitted(four, 1, bucket({ key: 'other' }))
    // The second round of renewals tells each process of all four.
    clock.advance(10_000)
    await settled(20)
    await admitted(four, 1, bucket({ key: 'other' }))

    away = true

    expect(await admitted(four, 100, one)).toBe(40)
    clock.advance(60_000)
    expect(await admitted(four, 100, one)).toBe(40)
  })

  test('a process that has died shares nothing any more', async () => {
    const [one] = processes(1)
    const other = limiterOf(
      { ...heard, use: work => (isDead ? Promise.reject(new Error('dead')) : heard.use(work)) },
      clock,
    )
    let isDead = false
    const all = one === undefined ? [] : [one]
    const share = async () => {
      await settled(20)
      await admitted(all, 1, bucket({ key: 'other' }))
      away = true
      const count = await admitted(all, 100, bucket({ limit: 40 }))
      away = false
      return count
    }
    await ask(other, [bucket({ key: 'other' })])
    clock.advance(10_000)
    const before = await share()
    isDead = true
    for (let renewal = 0; renewal < 6; renewal++) {
      clock.advance(10_000)
      await settled(20)
      await admitted(all, 1, bucket({ key: 'other' }))
    }

    expect([before, await share()]).toEqual([20, 40])
  })

  test('counts as many processes as are said to run at least', async () => {
    const [one] = processes(1, { processes: 5 })
    away = true

    expect(await admitted(one === undefined ? [] : [one], 100, bucket({ limit: 50 }))).toBe(10)
  })

  test('what was used up stays used up', async () => {
    const two = processes(2, { processes: 2 })
    const one = bucket({ limit: 60 })
    await admitted(two.slice(0, 1), 48, one)
    await ask(two[1] ?? two[0] ?? limiterOf(heard, clock), [one])

    away = true

    // The first process saw 12 left, the second 11: half of each.
    expect(await admitted(two, 100, one)).toBe(6 + 5)
  })

  test('a refusal tells of the whole limit', async () => {
    const [one] = processes(1, { processes: 4 })
    const whole = bucket({ limit: 4 })
    away = true
    if (one !== undefined) await ask(one, [whole])

    expect(one && (await ask(one, [whole])).refused).toBe(whole)
  })

  test('places are shared too, and given back', async () => {
    const [one] = processes(1, { processes: 2 })
    const places = bucket({ unit: 'concurrent', limit: 4 })
    if (one === undefined) throw new Error('no limiter')
    away = true
    const verdicts = []
    for (const owner of ['a', 'b', 'c']) verdicts.push(await ask(one, [places], 0, owner))
    one.settle([places], { requests: 0, tokens: 0 }, 'a')

    expect([...verdicts, await ask(one, [places], 0, 'd')].map(passed)).toEqual([true, true, false, true])
  })

  test('a place that was given back meanwhile is free when Redis is back', async () => {
    const [one] = processes(1)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined) throw new Error('no limiter')
    await ask(one, [only], 0, 'before')
    away = true
    one.settle([only], NOTHING, 'before')
    const meanwhile = await ask(one, [only], 0, 'meanwhile')
    away = false
    const during = await ask(one, [only])
    one.settle([only], NOTHING, 'meanwhile')

    expect([meanwhile, during, await ask(one, [only])].map(passed)).toEqual([true, false, true])
  })

  test('a place that Redis gave, or got back, without an answer is free when it answers', async () => {
    clock = fakeClock()
    let deaf = false
    let dumb = false
    const unheard: typeof heard.use = async work => {
      if (dumb) throw new Error('not asked')
      const answer = await heard.use(work)
      if (deaf) throw new Error('no answer')
      return answer
    }
    const one = limiterOf({ ...heard, use: unheard }, clock, {
      settings: () => ({ storeDown: 'closed', processes: 1 }),
    })
    const only = bucket({ unit: 'concurrent', limit: 1 })
    const other = bucket({ key: 'other' })

    deaf = true
    await expect(Promise.resolve(ask(one, [only]))).rejects.toThrow('does not answer')
    deaf = false
    const given = await ask(one, [only], 0, 'given')
    dumb = true
    one.settle([only], NOTHING, 'given')
    await expect(Promise.resolve(ask(one, [other]))).rejects.toThrow('does not answer')
    dumb = false

    expect([given, await ask(one, [only])].map(passed)).toEqual([true, true])
  })

  test('a place that Redis gave without an answer stays taken while the call goes on', async () => {
    clock = fakeClock()
    let deaf = true
    const unheard: typeof heard.use = async work => {
      const answer = await heard.use(work)
      if (deaf) throw new Error('no answer')
      return answer
    }
    const one = limiterOf({ ...heard, use: unheard }, clock)
    const [other] = processes(1)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    const alone = await ask(one, [only])
    deaf = false
    await ask(one, [bucket({ key: 'told with this' })])

    expect([alone, other && (await ask(other, [only]))].map(verdict => verdict && passed(verdict))).toEqual([
      true,
      false,
    ])
  })

  test('calls that go on count as soon as Redis is back, empty or not, also where no other call comes', async () => {
    const [one, other] = processes(2, { processes: 2 })
    const places = bucket({ unit: 'concurrent', limit: 4 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(one, [places])
    away = true
    await ask(other, [places])
    await redis.use(forgetAll)
    away = false
    for (const run of backs) run()
    const verdicts = []
    for (let time = 0; time < 3; time++) verdicts.push(passed(await ask(one, [places])))

    expect(verdicts).toEqual([true, true, false])
  })

  test('what an idle process had is free as soon as Redis is back', async () => {
    const [one, idle] = processes(2)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined || idle === undefined) throw new Error('no limiter')
    await ask(idle, [only], 0, 'before')
    away = true
    idle.settle([only], NOTHING, 'before')
    away = false
    for (const run of backs) run()
    await settled(20)
    await redis.use(client => client.ping())

    expect(passed(await ask(one, [only]))).toBe(true)
  })

  test('what is told when Redis is back is told once, and nothing behind the end of a process', async () => {
    const [one] = processes(1)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined) throw new Error('no limiter')
    const callsOf = async (run: () => unknown) => {
      const before = calls
      await run()
      await settled(20)
      await redis.use(client => client.ping())
      return calls - before
    }
    const back = () => {
      for (const run of backs) run()
    }
    await ask(one, [only], 0, 'before')
    away = true
    one.settle([only], NOTHING, 'before')
    away = false

    // The end of the lease and a renewal, then only renewals; and never two planned.
    const told = [await callsOf(back), await callsOf(back), await callsOf(() => clock.advance(10_000))]
    await closeAll()

    expect([...told, await callsOf(back)]).toEqual([2, 1, 1, 0])
  })

  test('a lease that is given back while it is renewed stays given back, also where Redis forgot the script', async () => {
    const [one, other] = processes(2)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(one, [only], 0, 'first')
    await redis.use(client => client.script('FLUSH'))
    await ask(one, [bucket({ key: 'known again' })])

    clock.advance(10_000)
    one.settle([only], NOTHING, 'first')
    await ask(one, [bucket({ key: 'told with this' })])
    await settled(20)
    await redis.use(client => client.ping())

    expect(passed(await ask(other, [only]))).toBe(true)
  })

  test('a call larger than a share still passes, and is paid for', async () => {
    const [one] = processes(1, { processes: 4 })
    const tokens = bucket({ unit: 'tokens', limit: 1000 })
    if (one === undefined) throw new Error('no limiter')
    away = true

    const large = await ask(one, [tokens], 800)
    const then = await ask(one, [tokens], 100)

    expect(passed(large)).toBe(true)
    // 650 tokens beyond a share of 250, at 250 a minute.
    expect(then.retryAfterMs).toBe(156_000)
    expect((await ask(one, [tokens], 1001)).retryAfterMs).toBe(Infinity)
  })

  test('what a process gave alone Redis does not take back', async () => {
    const [one] = processes(1)
    const tokens = bucket({ unit: 'tokens', limit: 1000 })
    if (one === undefined) throw new Error('no limiter')
    await ask(one, [tokens], 500)
    away = true
    await ask(one, [tokens], 400, 'alone')
    away = false

    one.settle([tokens], { requests: 0, tokens: -400 }, 'alone')
    const verdict = await ask(one, [tokens], 0)

    expect(verdict.tokens?.remaining).toBe(500)
  })

  test('what each process gave alone is charged when Redis is back', async () => {
    const two = processes(2, { processes: 2 })
    const [one, other] = two
    const rate = bucket({ limit: 60 })
    const tokens = bucket({ key: 'tokens', unit: 'tokens', limit: 6000 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    away = true
    const alone = await admitted(two, 10, rate)
    await ask(one, [tokens], 3000, 'call')
    one.settle([tokens], { requests: 0, tokens: -2000 }, 'call')

    away = false
    await ask(one, [rate, tokens])
    const verdict = await ask(other, [rate, tokens])
    await ask(one, [rate, tokens])

    expect(alone).toBe(20)
    expect(verdict).toMatchObject({ requests: { remaining: 60 - 22 }, tokens: { remaining: 5000 } })
    expect((await ask(one, [rate])).requests?.remaining).toBe(60 - 24)
  })

  test('what has come back since is not charged', async () => {
    const [one] = processes(1)
    const [rate, tokens] = [bucket({ limit: 60 }), bucket({ key: 'tokens', unit: 'tokens', limit: 6000 })]
    if (one === undefined) throw new Error('no limiter')
    away = true
    for (let second = 0; second < 300; second++) {
      expect(passed(await ask(one, [rate, tokens], 100, `${second}`))).toBe(true)
      clock.advance(1000)
    }

    away = false
    const verdict = await ask(one, [rate, tokens])

    expect(verdict).toMatchObject({ refused: null, requests: { remaining: 59 }, tokens: { remaining: 6000 } })
  })

  test('what was used before comes back once', async () => {
    const [one] = processes(1)
    const rate = bucket({ limit: 60 })
    if (one === undefined) throw new Error('no limiter')
    await admitted([one], 60, rate)
    away = true
    clock.advance(30_000)
    const alone = await admitted([one], 60, rate)

    away = false

    expect([alone, await admitted([one], 60, rate)]).toEqual([30, 0])
  })

  test('everything is refused where the operator wants it so', async () => {
    const [one] = processes(1, { storeDown: 'closed' })
    away = true

    expect(() => one?.take([bucket()], 0, 'a')).toThrow('The store of the limits does not answer')
    expect(one?.take([], 0, 'a')).toMatchObject({ refused: null })
  })

  test('what is known to be used up is refused without asking Redis', async () => {
    const [one] = processes(1)
    if (one === undefined) throw new Error('no limiter')
    const used = bucket({ burst: 1 })
    await ask(one, [used])
    await ask(one, [used])
    const before = calls

    const verdicts = await Promise.all(Array.from({ length: 1000 }, () => ask(one, [used])))

    expect(verdicts.filter(passed)).toHaveLength(0)
    expect(verdicts[999]).toMatchObject({ refused: used, retryAfterMs: 1000, requests: { remaining: 0 } })
    expect(calls).toBe(before)
  })

  test('tokens that another process has given back are asked for again a moment later', async () => {
    const [one, other] = processes(2)
    const tokens = bucket({ unit: 'tokens', limit: 100 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(other, [tokens], 100, 'other')
    await ask(one, [tokens], 50)
    other.settle([tokens], { requests: 0, tokens: -100 }, 'other')
    await ask(other, [bucket({ key: 'told before' })])
    const before = calls

    const believed = await ask(one, [tokens], 50)
    const asked = calls - before
    clock.advance(50)

    expect([passed(believed), asked, passed(await ask(one, [tokens], 50))]).toEqual([false, 0, true])
  })

  test('what this process gives back itself is there at once, and what changes nothing is not told', async () => {
    const [one, other] = processes(2)
    const [rate, places] = [bucket({ key: 'rate' }), bucket({ unit: 'concurrent', limit: 2 })]
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(other, [places], 0, 'zeroth')
    await ask(one, [places], 0, 'first')
    const refused = await ask(one, [places], 0, 'second')
    one.settle([places], { requests: 0, tokens: 0 }, 'first')
    const admitted = await ask(one, [places], 0, 'second')
    await ask(one, [rate], 0, 'third')
    await settled(20)
    const before = calls

    one.settle([rate], { requests: 0, tokens: 0 }, 'third')
    await settled(20)

    expect([passed(refused), passed(admitted), calls - before]).toEqual([false, true, 0])
  })

  test('questions that Redis does not answer are decided as while it is away, also when it seems to be back', async () => {
    const [one] = processes(1)
    if (one === undefined) throw new Error('no limiter')
    const silent = { ...heard, use: () => Promise.reject(new Error('no answer')) }
    const local = limiterOf(silent, clock)
    const closed = limiterOf(silent, clock, { settings: () => ({ storeDown: 'closed', processes: 1 }) })

    expect(await admitted([local], 5, bucket({ limit: 3 }))).toBe(3)
    await expect(Promise.resolve(ask(closed, [bucket()]))).rejects.toThrow('The store of the limits does not answer')
  })

  test('a share that was used up alone refuses nobody when Redis is back', async () => {
    const [one] = processes(1, { processes: 2 })
    const rate = bucket({ limit: 60 })
    if (one === undefined) throw new Error('no limiter')
    away = true
    const alone = await admitted([one], 100, rate)
    away = false

    expect([alone, await admitted([one], 100, rate)]).toEqual([30, 30])
  })

  test('a process that ends shares nothing from the next renewal on', async () => {
    const [one, other] = processes(2)
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await admitted([one, other], 1, bucket({ key: 'other' }))
    clock.advance(10_000)
    await settled(20)
    await other.close()
    clock.advance(10_000)
    await settled(20)
    await admitted([one], 1, bucket({ key: 'other' }))
    away = true

    expect(await admitted([one], 100, bucket({ limit: 40 }))).toBe(40)
  })

  test('a place that another process has is asked for again a moment later', async () => {
    const [one, other] = processes(2)
    const places = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(other, [places], 0, 'other')
    await ask(one, [places])
    other.settle([places], { requests: 0, tokens: 0 }, 'other')
    await ask(other, [bucket({ key: 'told before' })])
    const before = calls

    const believed = await ask(one, [places])
    const asked = calls - before
    clock.advance(50)

    expect([passed(believed), asked, passed(await ask(one, [places]))]).toEqual([false, 0, true])
  })
})
