import { Database } from 'bun:sqlite'
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { OVER } from '#core/ledger.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import { createRedisHolds } from '#stores/redis-holds.ts'
import { createSharedLedger, type SharedLedger } from '#stores/shared-ledger.ts'
import type { DatabasePlace } from '#stores/sql.ts'
import { createSqlLedger } from '#stores/sql-ledger.ts'
import { openAt } from '#tests/contract/database.ts'
import { rowOf } from '#tests/contract/ledger.ts'
import { sqlitePlaces } from '#tests/support/databases.ts'
import { forgetAll, startRedisAs } from '#tests/support/redis.ts'
import { connect, MONTH, openSqlLedger, redisWithHolds, sharedBy } from '#tests/support/shared-ledgers.ts'
import { until } from '#tests/support/until.ts'

setDefaultTimeout(60_000)

describe('when Redis or a ledger was away, or has lost its data', () => {
  const { each, fresh, hold, usedOf } = redisWithHolds()

  test('an account that Redis has lost is counted again from the ledger', async () => {
    const store = await fresh()
    await hold(store, 900, 'first')
    await store.write({ requests: [rowOf('first', 700)], audit: [] })

    await each.redis.use(forgetAll)
    const verdict = await hold(store, 301)

    expect(verdict).toEqual({ refused: MONTH, used: [700] })
  })

  test('an account that Redis has lost is counted again by every ledger that charges it', async () => {
    const [here, there] = [await fresh(), await fresh()]
    for (const [store, request] of [
      [here, 'here'],
      [there, 'there'],
    ] as const) {
      await hold(store, 400, request)
      await store.write({ requests: [rowOf(request, 400)], audit: [] })
    }

    await each.redis.use(forgetAll)
    await hold(there, 1)
    const verdict = await hold(here, 300)

    expect(verdict).toEqual({ refused: MONTH, used: [801] })
  })

  test('a hold from before an account was lost is not given back to the new account', async () => {
    const store = await fresh()
    await hold(store, 500, 'before')
    await hold(store, 100, 'grows')

    await each.redis.use(client => client.del('{citadel}:money:account:key:shop/web 2026-01'))
    await hold(store, 200, 'after')
    await hold(store, 50, 'grows')
    const begun = await usedOf(store)
    store.settled(rowOf('before', 70))
    await store.write({ requests: [rowOf('before', 70)], audit: [] })
    const written = await usedOf(store)
    await store.write({ requests: [rowOf('after', 20), rowOf('grows', 5)], audit: [] })

    expect([begun, written, await usedOf(store)]).toEqual([250, 320, 95])
  })

  test('the ledger decides while Redis is away, and its charges are known when Redis is back', async () => {
    const { ledger, close } = await openSqlLedger(sqlitePlaces, true)
    const store = await fresh(ledger)
    await hold(store, 500, 'before')
    await store.write({ requests: [rowOf('before', 400)], audit: [] })

    await each.server.kill()
    store.lost()
    const alone = await hold(store, 300, 'alone')
    const refused = await hold(store, 400)
    await store.write({ requests: [rowOf('alone', 250)], audit: [] })
    await each.server.start()
    await until('Redis is back', 10_000, () => each.redis.available())

    expect([alone.refused, refused.refused]).toEqual([null, MONTH])
    expect(await usedOf(store)).toBe(650)
    await close()
  })

  test('after Redis was away its accounts follow the ledger, even if Redis kept its data', async () => {
    const ledger = createMemoryLedger('kept')
    const holds = createRedisHolds(each.redis)
    let isThere = true
    const create = () => createSharedLedger({ holds: { ...holds, available: () => isThere }, ledger, time: () => 0 })
    await each.redis.use(forgetAll)
    const [here, there] = [create(), create()]
    await hold(here, 500, 'before')
    await here.write({ requests: [rowOf('before', 400)], audit: [] })

    isThere = false
    for (const store of [here, there]) store.lost()
    await hold(there, 300, 'alone')
    await there.write({ requests: [rowOf('alone', 250)], audit: [] })
    isThere = true

    // The one that wrote it need not have said so yet, nor ever.
    expect(await usedOf(here)).toBe(650)
  })

  test('when Redis is back it is told of a bounded number of rows, and counts again from the ledger if there were more', async () => {
    const ledger = createMemoryLedger('many')
    const holds = createRedisHolds(each.redis)
    const told: number[] = []
    let isThere = true
    const store = createSharedLedger({
      holds: {
        ...holds,
        async follow(followed) {
          told.push(followed.spent.length + followed.over.length + followed.written.length)
          if (!isThere) throw new Error('away')
          return holds.follow(followed)
        },
      },
      ledger,
      time: () => 0,
    })
    await each.redis.use(forgetAll)
    for (const request of ['before', 'late']) await hold(store, 0, request)
    const row = rowOf('before', 1)
    const batch = (name: string, count: number) => ({
      requests: [row, ...Array.from({ length: count }, (_, n) => ({ ...row, id: `${name}-${n}` }))],
      audit: [],
    })

    isThere = false
    const begun = told.length
    store.settled(rowOf('late', 1))
    await until('Redis is told', 10_000, () => told.length > begun)
    await store.write(batch('few', 10))
    await store.write(batch('many', 100_000))
    isThere = true
    const used = await usedOf(store)

    expect(told.slice(begun)).toEqual([1, 13, 100_013, 1])
    expect(used).toBe(100_011)
  })

  test('the ledger decides when Redis goes away during a call, and an error of a running Redis is an error', async () => {
    let isThere = true
    const holds = createRedisHolds(each.redis)
    const failing = (stays: boolean) =>
      createSharedLedger({
        holds: {
          ...holds,
          available: () => isThere,
          async take() {
            isThere = stays
            throw new Error('broken')
          },
        },
        ledger: createMemoryLedger('fails'),
        time: () => 0,
      })

    await expect(hold(failing(true), 1)).rejects.toThrow('broken')
    expect(await hold(failing(false), 1)).toEqual({ refused: null, used: [1] })
  })

  test('a hold is given back where it was taken, also when Redis is back by then', async () => {
    let isThere = false
    const ledger = createMemoryLedger('gives')
    const holds = { ...createRedisHolds(each.redis), available: () => isThere }
    const store = createSharedLedger({ holds, ledger, time: () => 1 })
    const taken = { request: 'alone', accounts: [MONTH], nano: 300, expiresAt: 600_000 }
    await store.hold(taken)
    isThere = true
    await store.hold({ ...taken, nano: 0, expiresAt: OVER })

    expect([await ledger.expire(1), await ledger.holds()]).toEqual([1, 0])
  })

  test('with a new ledger a new account begins, and what the old one charged stays charged', async () => {
    const old = await openSqlLedger(sqlitePlaces, true)
    const next = await openSqlLedger(sqlitePlaces, true)
    let ledger = old.ledger
    const store = await fresh({
      hold: one => ledger.hold(one),
      write: batch => ledger.write(batch),
      expire: now => ledger.expire(now),
      holds: () => ledger.holds(),
      balance: accounts => ledger.balance(accounts),
    })
    await hold(store, 500, 'old')
    await store.write({ requests: [rowOf('old', 400)], audit: [] })

    ledger = next.ledger
    await hold(store, 100, 'unknown')
    await store.write({ requests: [rowOf('unknown', 50)], audit: [] })
    await hold(store, 100, 'new')
    await store.write({ requests: [rowOf('new', 70)], audit: [] })

    expect(await usedOf(store)).toBe(520)
    await old.close()
    await next.close()
  })
})

test('the accounts in Redis follow a ledger that was restored from a backup', async () => {
  const [place, places] = [await startRedisAs('Redis'), await sqlitePlaces()]
  const redis = connect(place.urls)
  const [lost, restored] = [await places.place(), await places.place()]
  const database = openAt(lost)
  const store = sharedBy(redis, createSqlLedger(database))
  const used = async (of: SharedLedger, request: string) =>
    (await of.hold({ request, accounts: [MONTH], nano: 0, expiresAt: 1e9 })).used[0]
  const charge = (of: SharedLedger, id: string, nano: number) => of.write({ requests: [rowOf(id, nano)], audit: [] })
  await used(store, 'open')
  await charge(store, 'kept', 100)
  await backUp(lost, restored)
  for (const id of ['a', 'b', 'c']) await charge(store, id, 200)
  const before = await used(store, 'before')
  await database.close()

  const again = openAt(restored)
  const next = sharedBy(redis, createSqlLedger(again))
  const begun = await used(next, 'after')
  await charge(next, 'new', 50)

  expect([before, begun, await used(next, 'charged')]).toEqual([700, 100, 150])
  await again.close()
  redis.close()
  await Promise.all([places.close(), place[Symbol.asyncDispose]()])
})

/** Copies a SQLite file as the guide says. */
async function backUp(from: DatabasePlace, to: DatabasePlace): Promise<void> {
  if (from.kind !== 'sqlite' || to.kind !== 'sqlite' || from.file === null || to.file === null)
    throw new Error('no file')
  await mkdir(dirname(to.file), { recursive: true })
  const file = new Database(from.file)
  file.run('VACUUM INTO ?', [to.file])
  file.close()
}
