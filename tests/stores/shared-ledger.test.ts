import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Account, type Ledger, OVER } from '#core/ledger.ts'
import { createWheel } from '#lib/wheel.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import { openRedis, type Redis } from '#stores/redis.ts'
import { createRedisHolds } from '#stores/redis-holds.ts'
import { createSharedLedger, type SharedLedger } from '#stores/shared-ledger.ts'
import type { DatabasePlace } from '#stores/sql.ts'
import { createSqlLedger } from '#stores/sql-ledger.ts'
import { openAt } from '#tests/contract/database.ts'
import { ledgerContract, rowOf } from '#tests/contract/ledger.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'
import {
  forgetAll,
  REDIS_FORMS,
  type RedisPlace,
  type Redis as RedisServer,
  startRedis,
  startRedisAs,
} from '#tests/support/redis.ts'

setDefaultTimeout(60_000)

const clock = { now: () => performance.now(), time: () => Date.now(), after: createWheel() }
const MONTH = { id: 'key:shop/web', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }

const connect = (urls: readonly string[]) => openRedis({ urls, timeoutMs: 5000, clock })

const sharedBy = (redis: Redis, ledger: Ledger) =>
  createSharedLedger({ holds: createRedisHolds(redis), ledger, time: () => 0 })

/** A ledger in a database of its own. */
async function openSqlLedger(open: typeof sqlitePlaces) {
  const places = await open()
  const database = openAt(await places.place())
  return {
    ledger: createSqlLedger(database, open === sqlitePlaces),
    async close() {
      await database.close()
      await places.close()
    },
  }
}

for (const form of REDIS_FORMS) {
  ledgerContract(`the ledger in memory, held in ${form}`, async () => {
    const place = await startRedisAs(form)
    const redis = connect(place.urls)
    return {
      store: sharedBy(redis, createMemoryLedger('a')),
      async close() {
        redis.close()
        await place[Symbol.asyncDispose]()
      },
    }
  })
}

for (const [name, open] of [
  ['SQLite', sqlitePlaces],
  ['Postgres', postgresPlaces],
] as const) {
  ledgerContract(`the ledger in ${name}, held in Redis`, async () => {
    const place = await startRedisAs('Redis')
    const redis = connect(place.urls)
    const { ledger, close } = await openSqlLedger(open)
    return {
      store: sharedBy(redis, ledger),
      async close() {
        redis.close()
        await close()
        await place[Symbol.asyncDispose]()
      },
    }
  })
}

describe.each(REDIS_FORMS)('processes that hold money in %s', form => {
  let place: RedisPlace
  const clients: Redis[] = []
  beforeAll(async () => {
    place = await startRedisAs(form)
    clients.push(...Array.from({ length: 4 }, () => connect(place.urls)))
  })
  afterAll(async () => {
    for (const client of clients) client.close()
    await place[Symbol.asyncDispose]()
  })

  test('let exactly ten of a hundred at once through on a budget for ten', async () => {
    const { ledger, close } = await openSqlLedger(sqlitePlaces)
    const processes = clients.map(redis => sharedBy(redis, ledger))

    const verdicts = await Promise.all(
      Array.from({ length: 100 }, (_, call) =>
        processes[call % processes.length]?.hold({ request: `r${call}`, accounts: [MONTH], nano: 100, expiresAt: 1e9 }),
      ),
    )

    expect(verdicts.filter(verdict => verdict?.refused === null)).toHaveLength(10)
    await close()
  })

  test('ask the ledger once each for a budget that is new to them', async () => {
    const ledger = createMemoryLedger('asked')
    let asked = 0
    const watched: Ledger = {
      ...ledger,
      balance(accounts) {
        asked++
        return ledger.balance(accounts)
      },
      write: batch => (batch.requests.length === 0 ? null : ledger.write(batch)),
    }
    const processes = clients.map(redis => sharedBy(redis, watched))
    const account: Account = { ...MONTH, period: '2026-07', cap: 1_000_000 }
    const holdAll = (name: string) =>
      Promise.all(
        Array.from({ length: 100 }, (_, call) =>
          processes[call % processes.length]?.hold({
            ...{ request: `${name}${call}`, accounts: [account], nano: 1, expiresAt: 1e9 },
          }),
        ),
      )

    await holdAll('first')
    // Rows of the audit log alone change nothing that is known.
    for (const store of processes) await store.write({ requests: [], audit: [] })
    await holdAll('again')
    const first = asked
    await clients[0]?.use(client => client.del('{citadel}:money:account:key:shop/web 2026-07'))
    await holdAll('forgotten')

    expect(first).toBe(processes.length)
    expect(asked).toBeLessThanOrEqual(2 * processes.length)
  })

  test('share a budget though each has a ledger of its own', async () => {
    const account: Account = { ...MONTH, period: '2026-02' }
    const [here, there] = clients.map((redis, index) => sharedBy(redis, createMemoryLedger(`own-${index}`)))
    await here?.hold({ request: 'here', accounts: [account], nano: 500, expiresAt: 1e9 })
    await here?.write({ requests: [rowOf('here', 300, { day: '2026-02-01' })], audit: [] })
    await there?.hold({ request: 'there', accounts: [account], nano: 400, expiresAt: 1e9 })
    await there?.write({ requests: [rowOf('there', 200, { day: '2026-02-01' })], audit: [] })

    const verdict = await here?.hold({ request: 'last', accounts: [account], nano: 501, expiresAt: 1e9 })

    expect(verdict).toEqual({ refused: account, used: [500] })
  })
})

describe('money that is held in a Redis', () => {
  let server: RedisServer
  let redis: Redis
  beforeAll(async () => {
    server = await startRedis()
    redis = openRedis({ urls: [server.url], timeoutMs: 1000, clock })
  })
  afterAll(async () => {
    redis.close()
    await server[Symbol.asyncDispose]()
  })

  let made = 0
  const hold = (store: SharedLedger, nano: number, request = `h${++made}`, account: Account = MONTH) =>
    store.hold({ request, accounts: [account], nano, expiresAt: 1e9 })
  /** What is held of an account, and spent. */
  const usedOf = async (store: SharedLedger) => (await hold(store, 0)).used[0]
  const fresh = async (ledger: Ledger = createMemoryLedger(`m${++made}`)) => {
    await redis.use(forgetAll)
    return sharedBy(redis, ledger)
  }

  test('stays held for what a call has cost until its row is written, however long that takes', async () => {
    const store = await fresh()
    const ending = { accounts: [MONTH], expiresAt: 1000 }
    await store.hold({ ...ending, request: 'over', nano: 700 })
    await store.hold({ ...ending, request: 'nobody settles it', nano: 200 })

    store.settled(rowOf('over', 120))
    await until(async () => (await usedOf(store)) === 320)
    const expired = await store.expire(1000)
    const used = await usedOf(store)
    await store.write({ requests: [rowOf('over', 120)], audit: [] })

    expect([expired, used, await usedOf(store)]).toEqual([1, 120, 120])
    expect(await redis.use(client => client.exists('{citadel}:money:hold:over'))).toBe(0)
  })

  test('is not given back by a process whose clock is ahead, unless it is over by any clock', async () => {
    const store = await fresh()
    const now = Date.now()
    await store.hold({ request: 'under way', accounts: [MONTH], nano: 300, expiresAt: now + 600_000 })
    await store.hold({ request: 'let go', accounts: [MONTH], nano: 500, expiresAt: now + 600_000 })
    await store.hold({ request: 'let go', accounts: [MONTH], nano: 0, expiresAt: OVER })

    const expired = await store.expire(now + 86_400_000)

    expect([expired, await usedOf(store)]).toEqual([1, 300])
  })

  test('is settled for calls that are over and rows that are written at the same time, each by its own cost', async () => {
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

    await until(async () => (await usedOf(store)) === 67)
    expect(await store.holds()).toBeGreaterThanOrEqual(3)
    const requests = [rowOf('one', 10), rowOf('two', 20), rowOf('three', 30)]
    await store.write({ requests, audit: [] })
    expect(await usedOf(store)).toBe(67)
    const left = ['written', 'one', 'two', 'three'].map(request => `{citadel}:money:hold:${request}`)
    expect(await redis.use(client => client.exists(left))).toBe(0)
  })

  test('is forgotten with its period, and a call that was forgotten leaves nothing behind', async () => {
    const store = await fresh()
    await hold(store, 200, 'forgotten')
    const livesMs = await redis.use(client => client.pttl('{citadel}:money:account:key:shop/web 2026-01'))
    await redis.use(forgetAll)
    store.settled(rowOf('forgotten', 10))
    // It is told by the end of this turn, and what is asked then is answered behind it.
    await new Promise(resolve => setImmediate(resolve))
    await store.expire(0)

    expect(livesMs / 86_400_000).toBeWithin(39.9, 40.1)
    expect(await redis.use(client => client.keys('*'))).toEqual([])
  })

  test('is counted anew from the ledger when Redis has forgotten it', async () => {
    const store = await fresh()
    await hold(store, 900, 'first')
    await store.write({ requests: [rowOf('first', 700)], audit: [] })

    await redis.use(forgetAll)
    const verdict = await hold(store, 301)

    expect(verdict).toEqual({ refused: MONTH, used: [700] })
  })

  test('is counted anew by every ledger that charges it when Redis has forgotten it', async () => {
    const [here, there] = [await fresh(), await fresh()]
    for (const [store, request] of [
      [here, 'here'],
      [there, 'there'],
    ] as const) {
      await hold(store, 400, request)
      await store.write({ requests: [rowOf(request, 400)], audit: [] })
    }

    await redis.use(forgetAll)
    await hold(there, 1)
    const verdict = await hold(here, 300)

    expect(verdict).toEqual({ refused: MONTH, used: [801] })
  })

  test('is not given back to an account that Redis has forgotten alone, and that began anew', async () => {
    const store = await fresh()
    await hold(store, 500, 'before')
    await hold(store, 100, 'grows')

    await redis.use(client => client.del('{citadel}:money:account:key:shop/web 2026-01'))
    await hold(store, 200, 'after')
    await hold(store, 50, 'grows')
    const begun = await usedOf(store)
    store.settled(rowOf('before', 70))
    await store.write({ requests: [rowOf('before', 70)], audit: [] })
    const written = await usedOf(store)
    await store.write({ requests: [rowOf('after', 20), rowOf('grows', 5)], audit: [] })

    expect([begun, written, await usedOf(store)]).toEqual([250, 320, 95])
  })

  test('is decided by the ledger while Redis is away, and followed when it is back', async () => {
    const { ledger, close } = await openSqlLedger(sqlitePlaces)
    const store = await fresh(ledger)
    await hold(store, 500, 'before')
    await store.write({ requests: [rowOf('before', 400)], audit: [] })

    await server.kill()
    store.lost()
    const alone = await hold(store, 300, 'alone')
    const refused = await hold(store, 400)
    await store.write({ requests: [rowOf('alone', 250)], audit: [] })
    await server.start()
    await until(async () => redis.available())

    expect([alone.refused, refused.refused]).toEqual([null, MONTH])
    expect(await usedOf(store)).toBe(650)
    await close()
  })

  test('follows the ledger anew after Redis was away, also where it kept what it knew before', async () => {
    const ledger = createMemoryLedger('kept')
    const holds = createRedisHolds(redis)
    let isThere = true
    const create = () => createSharedLedger({ holds: { ...holds, available: () => isThere }, ledger, time: () => 0 })
    await redis.use(forgetAll)
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

  test('is told of so many rows at most when it is back, and follows the ledger anew where there were more', async () => {
    const ledger = createMemoryLedger('many')
    const holds = createRedisHolds(redis)
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
    await redis.use(forgetAll)
    for (const request of ['before', 'late']) await hold(store, 0, request)
    const row = rowOf('before', 1)
    const batch = (name: string, count: number) => ({
      requests: [row, ...Array.from({ length: count }, (_, n) => ({ ...row, id: `${name}-${n}` }))],
      audit: [],
    })

    isThere = false
    const begun = told.length
    store.settled(rowOf('late', 1))
    await until(async () => told.length > begun)
    await store.write(batch('few', 10))
    await store.write(batch('many', 100_000))
    isThere = true
    const used = await usedOf(store)

    expect(told.slice(begun)).toEqual([1, 13, 100_013, 1])
    expect(used).toBe(100_011)
  })

  test('is told of the end of calls that hold some of it, and of no others', async () => {
    const holds = createRedisHolds(redis)
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
    await redis.use(forgetAll)
    const ending = { accounts: [MONTH], expiresAt: Date.now() + 600_000 }
    await store.hold({ ...ending, request: 'refused', nano: 1001 })
    await store.hold({ ...ending, request: 'let go', nano: 300 })
    await store.hold({ ...ending, request: 'let go', nano: 0, expiresAt: OVER })
    await store.hold({ ...ending, request: 'held', nano: 300 })
    // What it has stays held when it gets no more.
    await store.hold({ ...ending, request: 'held', nano: 1000 })

    await store.hold({ ...ending, request: 'unpriced', nano: 200 })

    for (const request of ['refused', 'let go', 'unknown', 'held']) store.settled(rowOf(request, 10))
    await until(async () => (await usedOf(store)) === 210)
    store.settled(rowOf('unpriced', null))
    await until(async () => (await usedOf(store)) === 10)

    expect(told).toEqual(['held', 'unpriced'])
  })

  test('is decided by the ledger when Redis goes away meanwhile, and by nobody when it is there and fails', async () => {
    let isThere = true
    const holds = createRedisHolds(redis)
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

  test('begins anew beside a ledger that was made anew, and what was charged before stays charged', async () => {
    const old = await openSqlLedger(sqlitePlaces)
    const next = await openSqlLedger(sqlitePlaces)
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

test('money that is held in Redis follows a ledger that was restored from a backup, which says again what it said then', async () => {
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

async function until(good: () => Promise<boolean>): Promise<void> {
  const endsAt = performance.now() + 10_000
  while (!(await good())) {
    if (performance.now() > endsAt) throw new Error('it never came')
    await Bun.sleep(10)
  }
}
