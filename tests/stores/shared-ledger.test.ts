import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Account, Ledger } from '#core/ledger.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import type { Redis } from '#stores/redis.ts'
import { ledgerContract, rowOf } from '#tests/contract/ledger.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'
import { REDIS_FORMS, type RedisPlace, startRedisAs } from '#tests/support/redis.ts'
import { connect, MONTH, openSqlLedger, sharedBy } from '#tests/support/shared-ledgers.ts'

setDefaultTimeout(60_000)

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
    const { ledger, close } = await openSqlLedger(open, open === sqlitePlaces)
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

  test('admit exactly ten of a hundred simultaneous calls on a budget for ten', async () => {
    const { ledger, close } = await openSqlLedger(sqlitePlaces, true)
    const processes = clients.map(redis => sharedBy(redis, ledger))

    const verdicts = await Promise.all(
      Array.from({ length: 100 }, (_, call) =>
        processes[call % processes.length]?.hold({ request: `r${call}`, accounts: [MONTH], nano: 100, expiresAt: 1e9 }),
      ),
    )

    expect(verdicts.filter(verdict => verdict?.refused === null)).toHaveLength(10)
    await close()
  })

  test('ask the ledger once each for a budget that they do not know', async () => {
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

  test('share a budget, even if each has a ledger of its own', async () => {
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
