import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { configOf, startGateway, startModelServer, type TestGateway, type Tree } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { startRedis, startRedisCluster } from '#tests/support/redis.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import type { Upstream } from '#tests/support/upstream.ts'

setDefaultTimeout(60_000)

const KEY = 'gw-shop-0123456789abcdef'
const [CALLS, DOLLARS] = [100, 10]
/** How long a gateway decides alone after an answer that came too late. */
const AWAY_MS = 2100

/** Starts gateways that sell calls for a dollar to a key that may spend ten. */
function start(server: Upstream, more: readonly Tree[]): Promise<TestGateway[]> {
  return Promise.all(
    more.map(own =>
      startGateway({
        ...configOf([server]),
        models: { chat: { targets: [{ server: 'a', model: 'test-model', price: { request: 1 } }] } },
        auth: { keys: [{ name: 'web', key: KEY, budget: { usd: DOLLARS, per: 'month' } }] },
        ...own,
      }),
    ),
  )
}

async function call(gateway: TestGateway | undefined): Promise<number | undefined> {
  const response = await gateway?.chat({}, { headers: { 'x-api-key': KEY } })
  await response?.text()
  return response?.status
}

/** Sends a hundred calls at once, to each gateway as many.
 *
 * @returns How many passed, and how many were refused for want of money. */
async function spendAtOnce(more: readonly Tree[]): Promise<readonly number[]> {
  await using server = await startModelServer(openAiScript())
  const gateways = await start(server, more)
  const ends = await Promise.all(Array.from({ length: CALLS }, (_, index) => call(gateways[index % gateways.length])))
  for (const gateway of gateways) await gateway[Symbol.asyncDispose]()
  return [200, 429].map(status => ends.filter(end => end === status).length)
}

const EXACTLY = [DOLLARS, CALLS - DOLLARS]

describe('of a hundred calls at once on a budget for ten exactly ten pass', () => {
  test('in memory', async () => {
    expect(await spendAtOnce([{}])).toEqual(EXACTLY)
  })

  test('in four gateways on one Redis', async () => {
    await using redis = await startRedis()
    const own = { redis: { url: redis.url, timeout: '5s' } }

    expect(await spendAtOnce([own, own, own, own])).toEqual(EXACTLY)
  })

  test('in four gateways on one Redis Cluster', async () => {
    await using cluster = await startRedisCluster()
    const own = { redis: { url: cluster.urls, timeout: '5s' } }

    expect(await spendAtOnce([own, own, own, own])).toEqual(EXACTLY)
  })
})

test('what one gateway has spent is spent for another one, though each has a database of its own', async () => {
  await using redis = await startRedis()
  await using server = await startModelServer(openAiScript())
  const folders = await Promise.all([ownFolder('citadel-budget-'), ownFolder('citadel-budget-')])
  const gateways = await start(
    server,
    folders.map(({ path }) => ({ redis: { url: redis.url }, service: { data_dir: path } })),
  )
  const [one, other] = gateways

  const passed = await Promise.all(Array.from({ length: DOLLARS }, () => call(one)))
  const account = `{citadel}:money:account:key:default/web ${new Date().toISOString().slice(0, 7)}`
  // Its rows are written, also where its first holds came too late.
  const endsAt = performance.now() + 20_000
  while (!(await redis.command('HGETALL', account)).includes(`"${DOLLARS * 1e9}"`)) {
    if (performance.now() > endsAt) throw new Error(await redis.command('HGETALL', account))
    await Bun.sleep(20)
  }
  const ends: (number | undefined)[] = []
  while (ends.at(-1) !== 429 && ends.length < DOLLARS) {
    if (ends.length > 0) await Bun.sleep(AWAY_MS)
    ends.push(await call(other))
  }

  for (const gateway of gateways) await gateway[Symbol.asyncDispose]()
  for (const folder of folders) await folder.remove()
  expect(passed).toEqual(passed.map(() => 200))
  expect(ends.at(-1)).toBe(429)
})

test('a tenant has the budget of the others whatever it is called', async () => {
  await using server = await startModelServer(openAiScript())
  const auth = { keys: [{ name: 'web', key: KEY, tenant: 'constructor' }] }
  const [gateway] = await start(server, [{ auth, budgets: { per_tenant: { '*': { usd: 1 } } } }])

  const statuses = [await call(gateway), await call(gateway)]
  await gateway?.[Symbol.asyncDispose]()

  expect(statuses).toEqual([200, 429])
})
