import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createTiers } from '#cache/tiers.ts'
import type { CacheSelection } from '#core/cache.ts'
import { systemClock } from '#core/clock.ts'
import { createMemoryCache } from '#stores/memory-cache.ts'
import { openRedis } from '#stores/redis.ts'
import { createRedisCache } from '#stores/redis-cache.ts'
import { answerOf, cacheContract } from '#tests/contract/cache.ts'
import { type FakeClock, fakeClock, settled } from '#tests/support/clock.ts'
import { type Redis, type RedisCluster, startRedis, startRedisCluster } from '#tests/support/redis.ts'
import { until } from '#tests/support/until.ts'

const realClock = systemClock()

function cacheAt(urls: readonly string[], clock: FakeClock, onClear: (selection: CacheSelection) => void = () => {}) {
  const redis = openRedis({ urls, timeoutMs: 2000, clock: realClock })
  const store = createRedisCache({ redis, clock, onClear })
  const close = () => {
    store.close()
    redis.close()
  }
  return { redis, store, close }
}

/** Resolves when the only node with this clock has read what was said: it looks again later. */
const listened = (clock: FakeClock) => until('it has listened', 4000, () => clock.pending > 0)

describe('in one Redis', () => {
  let server: Redis

  beforeAll(async () => {
    server = await startRedis()
  })

  afterAll(() => server[Symbol.asyncDispose]())

  cacheContract('the cache in Redis', clock => cacheAt([server.url], clock))

  cacheContract('the cache in memory with Redis behind it', clock => {
    const far = cacheAt([server.url], clock)
    return { store: createTiers(createMemoryCache({ clock, bytesMax: 10_000_000 }), far.store), close: far.close }
  })

  test('an answer that one node stored is found by another one, which then has it in memory', async () => {
    const clock = fakeClock(Date.now())
    const [one, two] = [cacheAt([server.url], clock), cacheAt([server.url], clock)]
    const near = createMemoryCache({ clock, bytesMax: 1_000_000 })
    await one.store.set('chat:shared', answerOf('{}', clock))

    const found = await createTiers(near, two.store).get('chat:shared')

    expect(found?.text).toBe('{}')
    expect(near.get('chat:shared')).toEqual(found)
    one.close()
    two.close()
  })

  test('an answer that is cleared during its compression is not stored afterwards', async () => {
    const clock = fakeClock(Date.now())
    const cache = cacheAt([server.url], clock)
    const key = `chat:${'1'.repeat(64)}`
    await cache.store.set(key, answerOf('{}', clock))
    const text = Array.from({ length: 400_000 }, (_, at) => at).join()

    const kept = cache.store.set(key, answerOf(text, clock))
    await cache.store.clear({})
    await kept

    expect(await cache.store.get(key)).toBeNull()
    cache.close()
  })

  test('the other nodes clear within five seconds what one node was asked to clear', async () => {
    const clock = fakeClock(Date.now())
    const heard = Promise.withResolvers<CacheSelection>()
    const listen = (selection: CacheSelection) => selection.tenant === 'the-other-node' && heard.resolve(selection)
    const [one, two] = [cacheAt([server.url], clock), cacheAt([server.url], clock, listen)]
    await one.store.clear({ tenant: 'the-other-node', model: 'chat' })
    clock.advance(5000)

    expect(await heard.promise).toEqual({ tenant: 'the-other-node', model: 'chat' })
    one.close()
    two.close()
  })

  test.each([false, true])(
    'what others store before they have heard is forgotten as well (the first gone: %p)',
    async gone => {
      const clock = fakeClock(Date.now())
      const [one, two] = [cacheAt([server.url], clock), cacheAt([server.url], clock)]
      const key = `chat:${'2'.repeat(64)}`
      // Behind this answer both have heard what was said before.
      await Promise.all([one.store.get(key), two.store.get(key)])
      await one.store.clear({ tenant: 'in-the-meantime' })
      if (gone) one.close()
      await two.store.set(key, answerOf('{}', clock, { tenant: 'in-the-meantime', ttlMs: 86_400_000 }))
      expect(await two.store.get(key)).not.toBeNull()

      await until('the answer is forgotten', 4000, async () => {
        clock.advance(1000)
        return (await two.store.get(key)) === null
      })
      for (const { close } of [one, two]) close()
    },
  )

  test.each([
    ['ahead', 5],
    ['behind', -5],
  ])('what others were asked to forget is heard by a node whose clock is %s', async (_, minutes) => {
    const clock = fakeClock(Date.now() + minutes * 60_000)
    const heard = Promise.withResolvers<string>()
    const listen = ({ tenant }: CacheSelection) => tenant === `told-${minutes}` && heard.resolve(tenant)
    const [one, two] = [cacheAt([server.url], fakeClock(Date.now())), cacheAt([server.url], clock, listen)]
    await one.store.clear({ tenant: `told-${minutes}` })
    clock.advance(5000)
    setTimeout(heard.resolve, 2000, 'nothing was heard')

    expect(await heard.promise).toBe(`told-${minutes}`)
    one.close()
    two.close()
  })

  test('what is to be forgotten is heard also where Redis has lost what was told, and its clock is behind', async () => {
    const clock = fakeClock(Date.now())
    const heard: (string | undefined)[] = []
    const told = (tenant: string) => until(tenant, 4000, () => clock.advance(1000) ?? heard.includes(tenant))
    const ahead = `${Date.now() + 3_600_000}-0`
    await server.command('XADD', 'cache:clears', ahead, 'selection', '{"tenant":"ahead"}')
    const cache = cacheAt([server.url], clock, ({ tenant }) => heard.push(tenant))
    await told('ahead')

    await server.command('DEL', 'cache:clears')
    await cache.store.clear({ tenant: 'behind' })
    await told('behind')
    await cache.store.clear({ tenant: 'after that' })
    await told('after that')

    expect(heard).toContain('after that')
    cache.close()
  })

  test('a clearing is not applied a second time where Redis has lost a later one', async () => {
    const clock = fakeClock(Date.now())
    const heard: (string | undefined)[] = []
    const cache = cacheAt([server.url], clock, ({ tenant }) => heard.push(tenant))
    const told = (tenant: string) => until(tenant, 4000, () => clock.advance(1000) ?? heard.includes(tenant))
    const tell = (tenant: string) =>
      server.command('XADD', 'cache:clears', '*', 'selection', JSON.stringify({ tenant }), 'swept', '1')
    await listened(clock)
    await tell('known')
    const lost = await tell('lost')
    await told('lost')

    await server.command('XDEL', 'cache:clears', JSON.parse(lost))
    await tell('new')
    await told('new')

    expect(heard.slice(heard.indexOf('known'))).toEqual(['known', 'lost', 'new'])
    cache.close()
  })

  test('a clearing by another node is applied once', async () => {
    const clock = fakeClock(Date.now())
    const heard: (string | undefined)[] = []
    const cache = cacheAt([server.url], clock, ({ tenant }) => heard.push(tenant))
    await listened(clock)
    for (const tenant of ['once', 'once more']) {
      // As one that was swept a second time, which nobody repeats.
      await server.command('XADD', 'cache:clears', '*', 'selection', JSON.stringify({ tenant }), 'swept', '1')
      clock.advance(5000)
      await listened(clock)
    }

    expect(heard.slice(heard.indexOf('once'))).toEqual(['once', 'once more'])
    cache.close()
  })

  test('everything is cleared, even if it is more than Redis lists at once', async () => {
    const cache = cacheAt([server.url], fakeClock(Date.now()))
    await cache.store.clear({})
    const fill = "for i = 1, 2500 do redis.call('SET', 'chat:' .. string.format('%064x', i), '') end"
    await server.command('EVAL', fill, '0')

    expect(await cache.store.clear({})).toBe(2500)
    cache.close()
  })

  test('keys that are not answers are not cleared', async () => {
    const cache = cacheAt([server.url], fakeClock(Date.now()))
    await server.command('SET', 'chat:room:42', 'of another program')
    await cache.store.clear({})

    expect(await server.command('GET', 'chat:room:42')).toContain('of another program')
    cache.close()
  })

  test('a clearing is applied although an unreadable entry comes before it', async () => {
    const clock = fakeClock(Date.now())
    const heard = Promise.withResolvers<void>()
    const all: CacheSelection[] = []
    const listen = (selection: CacheSelection) => {
      all.push(selection)
      if (selection.tenant === 'legible') heard.resolve()
    }
    await server.command('DEL', 'cache:clears')
    const cache = cacheAt([server.url], clock, listen)
    for (const odd of ['no JSON', '', 'null', '[]', '{"tenant":1}']) {
      await server.command('XADD', 'cache:clears', '*', 'selection', odd)
    }
    await cache.store.clear({ tenant: 'legible' })
    clock.advance(5000)
    await heard.promise

    expect(all).toEqual([{ tenant: 'legible' }])
    cache.close()
  })

  test('a value that another program wrote is not used as an answer', async () => {
    const clock = fakeClock(Date.now())
    const cache = cacheAt([server.url], clock)
    await server.command('SET', 'chat:odd', 'no answer')
    await server.command('SET', 'chat:older', '{"format":0}\nrest')
    await cache.store.set('chat:cut', answerOf('"a text"', clock))
    await cache.store.set('chat:pace', answerOf('"a text"', clock, { pace: [1, 2] }))
    const shorten = "return redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, -2))"
    for (const key of ['chat:cut', 'chat:pace']) await server.command('EVAL', shorten, '1', key)
    const keys = ['chat:odd', 'chat:older', 'chat:cut', 'chat:pace']

    expect(await Promise.all(keys.map(key => cache.store.get(key)))).toEqual([null, null, null, null])
    cache.close()
  })

  test('look-ups at the same time are one request to Redis', async () => {
    const clock = fakeClock(Date.now())
    const cache = cacheAt([server.url], clock)
    const keys = Array.from({ length: 50 }, (_, at) => `chat:together-${at}`)
    for (const key of keys.slice(1)) await cache.store.set(key, answerOf(`"${key}"`, clock))
    await server.command('CONFIG', 'RESETSTAT')
    const found = await Promise.all(keys.map(key => cache.store.get(key)))

    expect(found.map(answer => answer?.text)).toEqual([undefined, ...keys.slice(1).map(key => `"${key}"`)])
    expect(await server.command('INFO', 'commandstats')).toContain('cmdstat_mget:calls=1,')
    cache.close()
  })

  test('a long answer is compressed, and every answer expires', async () => {
    const clock = fakeClock(Date.now())
    const cache = cacheAt([server.url], clock)
    await cache.store.set('chat:long', answerOf('long '.repeat(20_000), clock))

    expect(Number((await server.command('STRLEN', 'chat:long')).replace(/\D/g, ''))).toBeLessThan(5000)
    expect(Number((await server.command('PTTL', 'chat:long')).replace(/\D/g, ''))).toBeGreaterThan(50_000)
    cache.close()
  })
})

describe('in a Redis Cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startRedisCluster()
  }, 60_000)

  afterAll(() => cluster[Symbol.asyncDispose]())

  cacheContract('the cache in a Redis Cluster', clock => cacheAt(cluster.urls, clock))
})

test('without Redis nothing is found, at once, and clearing fails', async () => {
  const server = await startRedis()
  const clock = fakeClock(Date.now())
  const cache = cacheAt([server.url], clock)
  await cache.store.set('chat:a', answerOf('{}', clock))
  await server.kill()
  // Nobody has noticed yet.
  const [kept, found] = [cache.store.set('chat:b', answerOf('{}', clock)), cache.store.get('chat:a')]

  expect(kept).toBeInstanceOf(Promise)
  expect([await kept, await found]).toEqual([undefined, null])
  expect(cache.redis.available()).toBe(false)
  expect(cache.store.get('chat:a')).toBeNull()
  expect(cache.store.set('chat:a', answerOf('{}', clock))).toBeUndefined()
  expect(await cache.store.clear({}).catch(error => error.code)).toBe('dependency_unavailable')
  cache.close()
  await server[Symbol.asyncDispose]()
})

test('a second clearing that fails because Redis is away causes no error', async () => {
  const server = await startRedis()
  const clock = fakeClock(Date.now())
  const cache = cacheAt([server.url], clock)
  clock.advance(5000)
  await listened(clock)
  await cache.store.clear({})
  clock.advance(5000)
  await listened(clock)
  const armed = clock.pending
  await server.kill()
  await cache.store.get('chat:a')

  clock.advance(6000)
  await settled()

  // The next poll and the second sweep; an error that nobody awaits would fail this test.
  expect([armed, clock.pending]).toEqual([2, 1])
  cache.close()
  await server[Symbol.asyncDispose]()
})
