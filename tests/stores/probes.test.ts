import { openRedis } from '#stores/redis.ts'
import { createRedisProbes } from '#stores/redis-probes.ts'
import { createSqlProbes } from '#stores/sql-probes.ts'
import { openAt, type Places } from '#tests/contract/database.ts'
import { probesContract } from '#tests/contract/probes.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'
import { startRedis } from '#tests/support/redis.ts'

async function inSql(places: Places) {
  const database = openAt(await places.place())
  return {
    create: async () => createSqlProbes(database),
    async close() {
      await database.close()
      await places.close()
    },
  }
}

probesContract('probes in SQLite', async () => inSql(await sqlitePlaces()))
probesContract('probes in Postgres', async () => inSql(await postgresPlaces()))
probesContract('probes in Redis', async () => {
  const server = await startRedis()
  const after = (ms: number, run: () => void) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
  const clock = { now: () => performance.now(), time: () => Date.now(), after }
  const redis = openRedis({ urls: [server.url], timeoutMs: 2000, clock })
  return {
    create: async () => createRedisProbes(redis),
    async close() {
      redis.close()
      await server[Symbol.asyncDispose]()
    },
  }
})
