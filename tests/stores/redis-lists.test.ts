import { expect, test } from 'bun:test'
import { systemClock } from '#core/clock.ts'
import { openRedis } from '#stores/redis.ts'
import { createRedisLists } from '#stores/redis-lists.ts'
import { HOLD_MS, listOf, listsContract } from '#tests/contract/lists.ts'
import { startRedis, startRedisCluster } from '#tests/support/redis.ts'

const clock = systemClock()

async function listsAt(server: { readonly urls: readonly string[] } & AsyncDisposable) {
  const redis = openRedis({ urls: server.urls, timeoutMs: 2000, clock })
  const close = async () => {
    redis.close()
    await server[Symbol.asyncDispose]()
  }
  return { redis, store: createRedisLists(redis, () => HOLD_MS), close }
}

async function alone() {
  const server = await startRedis()
  return Object.assign(server, { urls: [server.url] })
}

listsContract('model lists in Redis', async () => listsAt(await alone()))
listsContract('model lists in a Redis Cluster', async () => listsAt(await startRedisCluster()))

test('lists expire; neither other values nor anything without Redis are found', async () => {
  const server = await alone()
  const { redis, store, close } = await listsAt(server)
  store.set('a', listOf('m'))
  await store.get('a')
  const left = Number((await server.command('PTTL', 'models:list')).replace(/\D/g, ''))
  await server.command('HSET', 'models:list', 'odd', '{"at":1,"models":[{}]}')
  const odd = await store.get('odd')
  await server.kill()
  const gone = await store.get('a')
  store.set('a', listOf('m'))

  expect(left).toBeGreaterThan(0)
  expect(left).toBeLessThanOrEqual(HOLD_MS)
  expect([odd, gone, redis.available()]).toEqual([null, null, false])
  await close()
})
