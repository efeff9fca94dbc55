import { expect, setDefaultTimeout, test } from 'bun:test'
import { systemClock } from '#core/clock.ts'
import { openRedis } from '#stores/redis.ts'
import { createRedisCooldowns } from '#stores/redis-cooldowns.ts'
import { startRedis, startRedisCluster } from '#tests/support/redis.ts'
import { until } from '#tests/support/until.ts'

// Three nodes take seconds to join where a machine has others to serve.
setDefaultTimeout(60_000)

const clock = systemClock()

/** Two processes on one Redis, and what the second one has heard last. */
function twoAt(urls: readonly string[]) {
  const [first, second] = [openRedis({ urls, timeoutMs: 2000, clock }), openRedis({ urls, timeoutMs: 2000, clock })]
  const heard: ReadonlyMap<string, number>[] = []
  const one = createRedisCooldowns({ redis: first, clock, onHeard() {} })
  const other = createRedisCooldowns({ redis: second, clock, onHeard: leftMs => void heard.push(leftMs) })
  const close = () => {
    for (const each of [one, other, first, second]) each.close()
  }
  return { one, heard, close }
}

test.each([
  ['Redis', async () => [await startRedis()]],
  ['a Redis Cluster', async () => (await startRedisCluster()).nodes],
] as const)('what a process tells the others hear, until it is over: %s', async (_, start) => {
  const nodes = await start()
  const { one, heard, close } = twoAt(nodes.map(({ url }) => url))
  const left = (name: string) => heard.at(-1)?.get(name) ?? 0
  try {
    one.tell('a', 60_000)
    one.tell('b', 300)
    one.tell('c', 60_000)
    await until('the last is heard', 5000, () => left('c') > 0 || [...heard])
    const told = [left('a'), left('c')]
    one.tell('a', 10)
    await until('the second is over', 5000, () => left('b') === 0 || left('b'))

    expect(told.map(ms => ms > 50_000 && ms <= 60_000)).toEqual([true, true])
    // A shorter time takes nothing away from a longer one.
    expect(left('a')).toBeGreaterThan(50_000)
  } finally {
    close()
    for (const node of nodes) await node[Symbol.asyncDispose]()
  }
})

test('without Redis no cooldowns are known, and reporting one is not an error', async () => {
  const server = await startRedis()
  const { one, heard, close } = twoAt([server.url])
  await until('it is heard', 5000, () => heard.length > 0)
  await server.kill()
  const before = heard.length
  one.tell('a', 60_000)
  await server.start()
  await until('it is heard again', 10_000, () => heard.length > before || heard.length)

  one.tell('b', 60_000)
  await until('the next is heard', 5000, () => heard.at(-1)?.has('b') === true)
  close()
  await server[Symbol.asyncDispose]()
}, 20_000)

test('a Redis that accepts no writes still returns the known cooldowns', async () => {
  const server = await startRedis()
  const { one, heard, close } = twoAt([server.url])
  try {
    one.tell('a', 60_000)
    await until('it is heard', 5000, () => heard.at(-1)?.has('a') === true)
    await server.command('CONFIG', 'SET', 'maxmemory', '1')
    const before = heard.length

    // Longer than the time after which it would write down its clock.
    await until('it is heard again and again', 10_000, () => heard.length >= before + 5 || heard.length)

    expect(heard.at(-1)?.has('a')).toBe(true)
  } finally {
    close()
    await server[Symbol.asyncDispose]()
  }
})
