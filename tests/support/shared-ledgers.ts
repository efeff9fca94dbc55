import { afterAll, beforeAll } from 'bun:test'
import { systemClock } from '#core/clock.ts'
import type { Account, Ledger } from '#core/ledger.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import { openRedis, type Redis } from '#stores/redis.ts'
import { createRedisHolds } from '#stores/redis-holds.ts'
import { createSharedLedger, type SharedLedger } from '#stores/shared-ledger.ts'
import { createSqlLedger } from '#stores/sql-ledger.ts'
import { openAt } from '#tests/contract/database.ts'
import type { sqlitePlaces } from './databases.ts'
import { forgetAll, type Redis as RedisServer, startRedis } from './redis.ts'

const clock = systemClock()

/** An account with a budget of 1000. */
export const MONTH: Account = { id: 'key:shop/web', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }

/** Connects to a real Redis. */
export const connect = (urls: readonly string[], timeoutMs = 5000) => openRedis({ urls, timeoutMs, clock })

/** A ledger whose holds are in Redis; its clock stands still. */
export const sharedBy = (redis: Redis, ledger: Ledger) =>
  createSharedLedger({ holds: createRedisHolds(redis), ledger, time: () => 0 })

/** A ledger in a database of its own. */
export async function openSqlLedger(open: typeof sqlitePlaces, inProcess: boolean) {
  const places = await open()
  const database = openAt(await places.place())
  return {
    ledger: createSqlLedger(database, inProcess),
    async close() {
      await database.close()
      await places.close()
    },
  }
}

/** A real Redis for the tests of one `describe`, and what they do with ledgers that share it. */
export function redisWithHolds() {
  let made = 0
  let server: RedisServer
  let redis: Redis
  beforeAll(async () => {
    server = await startRedis()
    redis = connect([server.url], 1000)
  })
  afterAll(async () => {
    redis.close()
    await server[Symbol.asyncDispose]()
  })

  const hold = (store: SharedLedger, nano: number, request = `h${++made}`, account: Account = MONTH) =>
    store.hold({ request, accounts: [account], nano, expiresAt: 1e13 })

  return {
    each: {
      get server() {
        return server
      },
      get redis() {
        return redis
      },
    },
    hold,
    /** What is held of an account, and spent. */
    usedOf: async (store: SharedLedger) => (await hold(store, 0)).used[0],
    /** A ledger over a Redis that is empty. */
    fresh: async (ledger: Ledger = createMemoryLedger(`m${++made}`)) => {
      await redis.use(forgetAll)
      return sharedBy(redis, ledger)
    },
  }
}
