import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { type Clock, systemClock } from '#core/clock.ts'
import { createScope } from '#core/scope.ts'
import type { Target } from '#core/servers.ts'
import { createQueue } from '#gateway/queue/queue.ts'
import { createStates } from '#registry/states.ts'
import { openRedis, type Redis } from '#stores/redis.ts'
import { createRedisPlaces } from '#stores/redis-places.ts'
import { model, server, target, timeouts } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { forgetAll, REDIS_FORMS, type RedisPlace, startRedis, startRedisAs } from '#tests/support/redis.ts'
import { until } from '#tests/support/until.ts'

const real = systemClock()
const WITHIN_MS = 5000

type Places = ReturnType<typeof createRedisPlaces>
const opened: Places[] = []

function placesOn(
  redis: Pick<Redis, 'use' | 'available'>,
  processes = 1,
  onGranted = (_: number) => {},
  clock: Clock = real,
): Places {
  const places = createRedisPlaces({
    ...{ redis, clock, processId: crypto.randomUUID() },
    processes: () => processes,
    onGranted,
  })
  opened.push(places)
  return places
}

async function closeAll(): Promise<void> {
  for (const places of opened.splice(0)) await places.close()
}

/** Takes as soon as there is a place. */
async function take(places: Places, at: Target): Promise<void> {
  await until('a place', WITHIN_MS, () => places.has(at) && places.take(at))
}

describe.each(REDIS_FORMS)('with %s', form => {
  let place: RedisPlace
  let redis: Redis

  beforeAll(async () => {
    place = await startRedisAs(form)
    redis = openRedis({ urls: place.urls, timeoutMs: 5000, clock: real })
  }, 60_000)

  afterEach(async () => {
    await closeAll()
    await redis.use(forgetAll)
  })

  afterAll(async () => {
    redis.close()
    await place[Symbol.asyncDispose]()
  })

  test('processes that want more places than there are never exceed the limit, and all get their turn', async () => {
    const three = target('a', { maxConcurrent: 3, timeouts: { ...timeouts, queue: WITHIN_MS } })
    const candidates = [{ target: three, model: model('m', [three]), reason: '' }]
    let now = 0
    let most = 0
    let served = [0, 0, 0, 0]
    let first: readonly number[] = []
    const processes = [0, 1, 2, 3].map(own => {
      const places = placesOn(redis, 1, count => queue.granted(count))
      const queue = createQueue({ states: createStates(), clock: real, available: () => true, places })
      const wait = { caller: 'a', priority: 'normal', waited() {} } as const
      return async () => {
        const slot = await queue.slotsFor(wait).take(candidates, createScope(real))
        most = Math.max(most, ++now)
        await Bun.sleep(10)
        now--
        served = served.with(own, (served[own] ?? 0) + 1)
        if (served.reduce((sum, each) => sum + each) === 80) first = served
        slot.release()
      }
    })
    await Promise.all(processes.flatMap(ask => Array.from({ length: 40 }, ask)))

    expect(served).toEqual([40, 40, 40, 40])
    expect(most).toBe(3)
    expect(Math.min(...first)).toBeGreaterThan(5)
  }, 30_000)

  test('a leased place is used without asking Redis, and given up when another process waits', async () => {
    const two = target('a', { maxConcurrent: 2 })
    const [first, second] = [placesOn(redis), placesOn(redis)]
    for (let at = 0; at < 2; at++) await take(first, two)
    for (let at = 0; at < 2; at++) first.free(two)
    const again = [first.take(two), first.take(two), first.take(two)]
    for (let at = 0; at < 2; at++) first.free(two)
    second.waiting(1)
    const since = performance.now()
    await take(second, two)

    expect(again).toEqual([true, true, false])
    expect(performance.now() - since).toBeLessThan(2000)
  })

  test('as many places are kept as were of late in use at once, and the others given back', async () => {
    const three = target('a', { maxConcurrent: 3 })
    const clock = fakeClock()
    let answers = 0
    const counted: Pick<Redis, 'use' | 'available'> = {
      available: () => redis.available(),
      use: work => redis.use(work).finally(() => answers++),
    }
    const places = placesOn(counted, 1, () => {}, clock)
    const pass = async (ms: number) => {
      const before = answers
      clock.advance(ms)
      await until('Redis to be asked', WITHIN_MS, () => answers > before)
      await settled()
    }
    for (let at = 0; at < 3; at++) await take(places, three)
    for (let at = 0; at < 3; at++) places.free(three)
    await pass(10_000)
    const kept = [places.take(three), places.take(three), places.take(three)]
    for (let at = 0; at < 2; at++) places.free(three)
    await pass(10_000)
    kept.push(places.take(three), places.take(three))
    for (let at = 0; at < 2; at++) places.free(three)
    await pass(10_000)
    await pass(10_000)

    expect(kept).toEqual([true, true, true, true, true])
    expect(places.take(three)).toBe(false)
  })

  test('a process with few waiting calls gets its turn like one with many', async () => {
    const five = target('a', { maxConcurrent: 5, timeouts: { ...timeouts, queue: 6 * WITHIN_MS } })
    const candidates = [{ target: five, model: model('m', [five]), reason: '' }]
    const served = [0, 0]
    const sum = () => served.reduce((all, each) => all + each)
    const processes = [0, 1].map(own => {
      const places = placesOn(redis, 1, count => queue.granted(count))
      const queue = createQueue({ states: createStates(), clock: real, available: () => true, places })
      const wait = { caller: 'a', priority: 'normal', waited() {} } as const
      return async () => {
        while (sum() < 400) {
          const slot = await queue.slotsFor(wait).take(candidates, createScope(real))
          if (sum() < 400) served[own] = (served[own] ?? 0) + 1
          await Bun.sleep(15 + (sum() % 10))
          slot.release()
        }
      }
    })
    await Promise.all([90, 20].flatMap((count, own) => Array.from({ length: count }, () => processes[own]?.())))

    // Its part is 73.
    expect(served[1]).toBeGreaterThan(20)
  }, 30_000)

  test('a process whose calls do not wait still gets its part of the free places', async () => {
    const four = target('a', { maxConcurrent: 4 })
    const [first, second] = [placesOn(redis), placesOn(redis)]
    for (let at = 0; at < 4; at++) await take(first, four)
    for (let at = 0; at < 3; at++) first.free(four)
    // One call after the other, so that there is always something under way.
    let busy = true
    const work = (async () => {
      while (busy) {
        await Bun.sleep(20)
        first.free(four)
        await take(first, four)
      }
    })()
    await until('a place', WITHIN_MS, () => second.take(four))
    busy = false
    await work
  })

  test('the limit of a server holds for all its targets, over all processes', async () => {
    const home = server('a', { maxConcurrent: 2 })
    const [x, y] = ['x', 'y'].map(id => target('a', { id: `a/${id}`, server: home, maxConcurrent: 2 }))
    if (x === undefined || y === undefined) throw new Error('there are two')
    const [first, second] = [placesOn(redis), placesOn(redis)]
    await take(first, x)
    await take(second, y)
    // Each asks, and is answered.
    for (let at = 0; at < 10; at++) {
      second.has(x)
      first.has(y)
      await Bun.sleep(10)
    }
    const full = [first.has(x), first.has(y), second.has(x), second.has(y)]
    second.free(y)
    second.waiting(0)
    first.waiting(1)
    await take(first, y)

    expect(full).toEqual([false, false, false, false])
  })

  test('a place that is leased for one target is given up to another target of the same server', async () => {
    const home = server('a', { maxConcurrent: 1 })
    const [x, y] = ['x', 'y'].map(id => target('a', { id: `a/${id}`, server: home }))
    if (x === undefined || y === undefined) throw new Error('there are two')
    const only = placesOn(redis)
    await take(only, x)
    only.free(x)

    await take(only, y)
  })

  test('a process that stops gives its places back', async () => {
    const one = target('a', { maxConcurrent: 1 })
    const [first, second] = [placesOn(redis), placesOn(redis)]
    await take(first, one)
    await first.close()

    await take(second, one)
  })

  test('the places of a process that has died are free when its lease is over', async () => {
    const one = target('a', { maxConcurrent: 1 })
    let lives = true
    const mortal: Pick<Redis, 'use' | 'available'> = {
      available: () => redis.available(),
      use: work => (lives ? redis.use(work) : Promise.reject(new Error('dead'))),
    }
    const [first, second] = [placesOn(mortal), placesOn(redis)]
    await take(first, one)
    lives = false
    await redis.use(async client => {
      const all = await client.zrange('{citadel}:places:processes', '0', '-1')
      await Promise.all(all.map(name => client.zadd('{citadel}:places:processes', 1, name)))
    })

    await take(second, one)
    const keys = ['processes', `target:${one.id}`, `server:${one.server.id}`]
    const left = await redis.use(client => Promise.all(keys.map(key => client.pttl(`{citadel}:places:${key}`))))
    // When nobody is left nothing is.
    expect(left.map(ms => ms > 30_000 && ms <= 40_000)).toEqual([true, true, true])
  })

  test('places that were taken while Redis was away are reported when it is back', async () => {
    const four = target('a', { maxConcurrent: 4 })
    let away = true
    const lost: Pick<Redis, 'use' | 'available'> = {
      available: () => !away && redis.available(),
      use: work => (away ? Promise.reject(new Error('away')) : redis.use(work)),
    }
    const [first, second] = [placesOn(lost, 2), placesOn(lost, 2)]
    const alone = [first.take(four), first.take(four), second.take(four), second.take(four)]
    second.free(four)
    away = false
    await take(second, four)
    // Asks again and again, until well after the first has spoken.
    const more: boolean[] = []
    for (let at = 0; at < 60; at++) {
      more.push(second.take(four))
      await Bun.sleep(10)
    }

    expect(alone).toEqual([true, true, true, true])
    expect(more).not.toContain(true)
  })

  test('a process that has no place learns how many calls wait in others', async () => {
    const one = target('a', { maxConcurrent: 1 })
    const [first, second] = [placesOn(redis), placesOn(redis)]
    await take(first, one)
    second.waiting(7)
    second.has(one)

    await until('the others to be heard', WITHIN_MS, () => first.waiting(0) === 7)
    second.waiting(0)
    await until('nobody to wait', WITHIN_MS, () => first.waiting(0) === 0)
  })
})

test('while Redis is away each process uses its share, and places in use are reported when Redis is back empty', async () => {
  await using away = await startRedis()
  const connections = [1, 2].map(() => openRedis({ urls: [away.url], timeoutMs: 300, clock: real }))
  const [first, second] = connections.map(redis => placesOn(redis, 2))
  if (first === undefined || second === undefined) throw new Error('there are two')
  const four = target('a', { maxConcurrent: 4 })
  await take(first, four)
  second.waiting(3)
  await until('the others to be heard', WITHIN_MS, () => first.waiting(0) === 3)
  await away.stop()
  await until('the loss to be noticed', WITHIN_MS, () => {
    second.has(four)
    return connections.every(redis => !redis.available())
  })
  const waiting = first.waiting(0)
  const alone = [first.take(four), first.take(four), second.take(four), second.take(four), second.take(four)]
  await away.start()
  await until('Redis to be back', WITHIN_MS, () => connections.every(redis => redis.available()))
  const more: boolean[] = []
  for (let at = 0; at < 20; at++) {
    more.push(first.has(four), second.has(four))
    await Bun.sleep(10)
  }
  first.free(four)
  second.waiting(1)
  await take(second, four)
  await closeAll()
  for (const redis of connections) redis.close()

  expect(waiting).toBe(0)
  // Two each: one was out already.
  expect(alone).toEqual([true, false, true, true, false])
  expect(more).not.toContain(true)
}, 30_000)
