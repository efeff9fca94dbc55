import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { OVER } from '#core/ledger.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import { createRedisHolds } from '#stores/redis-holds.ts'
import { createSharedLedger } from '#stores/shared-ledger.ts'
import { rowOf } from '#tests/contract/ledger.ts'
import { forgetAll } from '#tests/support/redis.ts'
import { MONTH, redisWithHolds } from '#tests/support/shared-ledgers.ts'
import { until } from '#tests/support/until.ts'

setDefaultTimeout(60_000)

describe('money that is held in Redis', () => {
  const { each, fresh, hold, usedOf } = redisWithHolds()

  test('the cost of a call stays held until its row is written, however long that takes', async () => {
    const store = await fresh()
    const ending = { accounts: [MONTH], expiresAt: 1000 }
    await store.hold({ ...ending, request: 'over', nano: 700 })
    await store.hold({ ...ending, request: 'nobody settles it', nano: 200 })

    store.settled(rowOf('over', 120))
    await until('the call is settled', 10_000, async () => (await usedOf(store)) === 320)
    const expired = await store.expire(1000)
    const used = await usedOf(store)
    await store.write({ requests: [rowOf('over', 120)], audit: [] })

    expect([expired, used, await usedOf(store)]).toEqual([1, 120, 120])
    expect(await each.redis.use(client => client.exists('{citadel}:money:hold:over'))).toBe(0)
  })

  test('a hold is not given back by a process whose clock is ahead, unless it is over by any clock', async () => {
    const store = await fresh()
    const now = Date.now()
    await store.hold({ request: 'under way', accounts: [MONTH], nano: 300, expiresAt: now + 600_000 })
    await store.hold({ request: 'let go', accounts: [MONTH], nano: 500, expiresAt: now + 600_000 })
    await store.hold({ request: 'let go', accounts: [MONTH], nano: 0, expiresAt: OVER })

    const expired = await store.expire(now + 86_400_000)

    expect([expired, await usedOf(store)]).toEqual([1, 300])
  })

  test('calls that end and rows that are written at the same time are settled each by its own cost', async () => {
    const store = await fresh()
    for (const request of ['written', 'one', 'two', 'three']) await hold(store, 200, request)
    const writing = store.write({ requests: [rowOf('written', 7)], audit: [] })
    for (const [request, nano] of [
      ['one', 10],
      ['two', 20],
      ['three', 30],
    ] as const)
      store.settled(rowOf(request, nano))
    await writing

    await until('the call is settled', 10_000, async () => (await usedOf(store)) === 67)
    expect(await store.holds()).toBeGreaterThanOrEqual(3)
    const requests = [rowOf('one', 10), rowOf('two', 20), rowOf('three', 30)]
    await store.write({ requests, audit: [] })
    expect(await usedOf(store)).toBe(67)
    const left = ['written', 'one', 'two', 'three'].map(request => `{citadel}:money:hold:${request}`)
    expect(await each.redis.use(client => client.exists(left))).toBe(0)
  })

  test('an account expires after its period, and settling a forgotten call leaves no keys behind', async () => {
    const store = await fresh()
    await hold(store, 200, 'forgotten')
    const livesMs = await each.redis.use(client => client.pttl('{citadel}:money:account:key:shop/web 2026-01'))
    await each.redis.use(forgetAll)
    store.settled(rowOf('forgotten', 10))
    // It is told by the end of this turn, and what is asked then is answered behind it.
    await new Promise(resolve => setImmediate(resolve))
    await store.expire(0)

    expect(livesMs / 86_400_000).toBeWithin(39.9, 40.1)
    expect(await each.redis.use(client => client.keys('*'))).toEqual([])
  })

  test('Redis is told of the end of calls that hold money, and of no others', async () => {
    const holds = createRedisHolds(each.redis)
    const told: string[] = []
    const store = createSharedLedger({
      holds: {
        ...holds,
        follow(followed) {
          told.push(...followed.over.map(({ request }) => request))
          return holds.follow(followed)
        },
      },
      ledger: createMemoryLedger('ends'),
      time: () => Date.now(),
    })
    await each.redis.use(forgetAll)
    const ending = { accounts: [MONTH], expiresAt: Date.now() + 600_000 }
    await store.hold({ ...ending, request: 'refused', nano: 1001 })
    await store.hold({ ...ending, request: 'let go', nano: 300 })
    await store.hold({ ...ending, request: 'let go', nano: 0, expiresAt: OVER })
    await store.hold({ ...ending, request: 'held', nano: 300 })
    // What it has stays held when it gets no more.
    await store.hold({ ...ending, request: 'held', nano: 1000 })

    await store.hold({ ...ending, request: 'unpriced', nano: 200 })

    for (const request of ['refused', 'let go', 'unknown', 'held']) store.settled(rowOf(request, 10))
    await until('the call is settled', 10_000, async () => (await usedOf(store)) === 210)
    store.settled(rowOf('unpriced', null))
    await until('the call is settled', 10_000, async () => (await usedOf(store)) === 10)

    expect(told).toEqual(['held', 'unpriced'])
  })
})
