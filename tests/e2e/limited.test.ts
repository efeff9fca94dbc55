import { expect, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import type { ConfigInput } from '#config/schema.ts'
import { createSharedFolder } from '#stores/shared.ts'
import { configOf, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { startRedis } from '#tests/support/redis.ts'
import { until } from '#tests/support/until.ts'
import { inTurn } from '#tests/support/upstream.ts'
import { crewOfTwo } from './workers/crew.ts'

const ADMIN_KEY = 'gw_admin_limited_0123456789'
const LIMITED = openAiError(429, 'slow down', null, { 'retry-after': '50' })

/** Which server answers. */
async function askedAt(gateway: TestGateway): Promise<string | null> {
  const response = await gateway.chat()
  await response.text()
  return response.headers.get('x-citadel-server')
}

test('a server that limits one worker is left alone by the other at once', async () => {
  const { folder, remove } = createSharedFolder()
  const [one, two] = crewOfTwo()
  await using limited = await startModelServer(LIMITED)
  await using open = await startModelServer(openAiScript())
  const config = configOf([limited, open], { load_balancer: { algorithm: 'explicit' } })
  {
    await using first = await startGateway(config, {
      worker: { crew: one, folder, place: 1, name: 'one', steadyMs: 0 },
    })
    await using second = await startGateway(config, {
      worker: { crew: two, folder, place: 2, name: 'two', steadyMs: 0 },
    })

    expect([await askedAt(first), await askedAt(second)]).toEqual(['b', 'b'])
    expect(limited.calls).toHaveLength(1)
  }
  remove()
}, 20_000)

test('with Redis the other nodes leave it alone too, but for those that have another key or organisation', async () => {
  await using redis = await startRedis()
  await using limited = await startModelServer(LIMITED)
  await using open = await startModelServer(openAiScript())
  const shared = {
    load_balancer: { algorithm: 'explicit' },
    auth: { mode: 'none', admin_keys: [ADMIN_KEY] },
    redis: { url: redis.url, timeout: '5s' },
  }
  const config = configOf([limited, open], shared)
  const [first, second] = config.servers as { readonly id: string }[]
  await using one = await startGateway(config)
  await using two = await startGateway(config)
  const as = (caller: object) => startGateway({ ...config, servers: [{ ...first, ...caller }, second] })
  await using other = await as({ api_key: 'sk-another' })
  await using elsewhere = await as({ headers: { 'openai-organization': 'org-another' } })

  await askedAt(one)
  const before = limited.calls.length
  await until('the second node has heard', 10_000, async () => {
    const body = JSON.stringify({ request: { model: 'chat', messages: [{ role: 'user', content: 'Hi' }] } })
    const headers = { authorization: `Bearer ${ADMIN_KEY}` }
    const response = await fetch(`${two.url}/management/route/explain`, { method: 'POST', headers, body })
    const text = await response.text()
    return text.includes('it limits its callers for another') || text
  })

  expect(await askedAt(two)).toBe('b')
  expect(limited.calls).toHaveLength(before)
  await askedAt(other)
  expect(limited.calls).toHaveLength(before + 1)
  await askedAt(elsewhere)
  expect(limited.calls).toHaveLength(before + 2)
}, 30_000)

test('another key that a reload brings is not limited by what the one before has used up', async () => {
  await using server = await startModelServer(inTurn(LIMITED, openAiScript()))
  const config = configOf([server])
  const [first] = config.servers as { readonly id: string }[]
  await using gateway = await startGateway(config)

  const before = await gateway.chat()
  const servers = [{ ...first, api_key: 'sk-another' }]
  const own = { limits: { enabled: false }, gateway: { discover: false, demo: false } }
  gateway.gateway.reload(configFrom({ ...config, ...own, servers } as ConfigInput))

  expect([before.status, (await gateway.chat()).status]).toEqual([429, 200])
})

test('a reload that has nothing to do with it leaves alone who limits its callers', async () => {
  await using server = await startModelServer(inTurn(LIMITED, openAiScript()))
  const config = configOf([server])
  await using gateway = await startGateway(config)

  const before = await gateway.chat()
  const other = { limits: { enabled: false }, gateway: { discover: false, demo: false, headers: 'full' } }
  gateway.gateway.reload(configFrom({ ...config, ...other } as ConfigInput))

  expect([before.status, (await gateway.chat()).status]).toEqual([429, 429])
  expect(server.calls).toHaveLength(1)
})
