import { afterAll, beforeAll, expect, test } from 'bun:test'
import { systemClock } from '#core/clock.ts'
import { openRedis, type Redis } from '#stores/redis.ts'
import { redisScript, sentScript } from '#stores/redis-script.ts'
import { type Redis as Server, startRedis } from '#tests/support/redis.ts'

const clock = systemClock()
let server: Server
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = openRedis({ urls: [server.url], timeoutMs: 5000, clock })
}, 30_000)
afterAll(async () => {
  redis.close()
  await server[Symbol.asyncDispose]()
})

/** How often Redis was sent a script, and the hash of one, while this was done. */
async function sent(work: () => Promise<unknown>): Promise<readonly number[]> {
  await server.command('CONFIG', 'RESETSTAT')
  await work()
  const stats = await server.command('INFO', 'commandstats')
  return ['eval', 'evalsha'].map(name => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0))
}

test('a script is sent once, then its hash, and once more where Redis has forgotten it', async () => {
  const script = redisScript('fail', 'now')
  const look = () => redis.use(client => script(client, '{citadel}:failures:', ['address', '', 0]))

  expect(await sent(look)).toEqual([1, 0])
  expect(await sent(async () => [await look(), await look()])).toEqual([0, 2])
  await server.command('SCRIPT', 'FLUSH')
  expect(await sent(async () => [await look(), await look()])).toEqual([1, 2])
}, 30_000)

test('a script that fails is not run a second time', async () => {
  const script = redisScript('fail', 'now')
  const run = (more: string) => redis.use(client => script(client, '{citadel}:failures:', ['address', '', more]))
  await run('0')

  const calls = await sent(async () => expect(run('no number')).rejects.toThrow('script'))

  expect(calls).toEqual([0, 1])
}, 30_000)

test('one that must not be late is sent each time', async () => {
  const script = sentScript('renew', 'now')
  const renew = () => redis.use(client => script(client, '{citadel}:limits:', ['', 1000, 'process']))

  expect(await sent(async () => [await renew(), await renew()])).toEqual([2, 0])
}, 30_000)
