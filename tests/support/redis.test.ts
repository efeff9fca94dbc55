import { expect, test } from 'bun:test'
import { startRedis, startRedisCluster } from '#tests/support/redis.ts'

test('a Redis of our own takes commands, and forgets all when it is killed', async () => {
  await using redis = await startRedis()
  await redis.command('SET', 'a', '1')
  const before = await redis.command('GET', 'a')

  await redis.kill()
  await expect(redis.command('PING')).rejects.toThrow('refused')
  await redis.start()

  expect([before, await redis.command('GET', 'a')]).toEqual(['"1"', '(nil)'])
}, 30_000)

test('a paused Redis says nothing, and goes on after', async () => {
  await using redis = await startRedis()

  redis.pause()
  const answer = redis.command('PING')
  const early = await Promise.race([answer, Bun.sleep(100).then(() => 'silence')])
  redis.resume()

  expect([early, await answer]).toEqual(['silence', 'PONG'])
}, 30_000)

test('each node of a cluster knows who has a key', async () => {
  await using cluster = await startRedisCluster()

  const answers = await Promise.all(
    cluster.nodes.map(node => node.command('SET', 'a', '1').catch((thrown: Error) => thrown.message)),
  )

  expect(answers.filter(answer => answer === 'OK')).toHaveLength(1)
  expect(answers.filter(answer => answer.includes('MOVED'))).toHaveLength(2)
}, 60_000)
