import { expect, test } from 'bun:test'
import { delayedProxy } from '#tests/support/delayed-proxy.ts'
import { configOf, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { startRedis } from '#tests/support/redis.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'

const LATE_MS = 2000
/** What is taken before a call is read is no part of its time. */
const NO_OTHERS = { per_client: { requests_per_minute: 0 } }

function gaugeOf({ text }: { readonly text: string }, name: string): string | undefined {
  return text
    .split('\n')
    .find(line => line.startsWith(`${name} `))
    ?.slice(name.length + 1)
}

test.each([
  ['tokens', { ...NO_OTHERS, global: { requests_per_minute: 0, tokens_per_minute: 100_000 } }],
  [
    'the requests of a user',
    { ...NO_OTHERS, global: { requests_per_minute: 0 }, per_user: { requests_per_minute: 100 } },
  ],
])(
  'a caller waits no longer than he wants to while Redis counts %s',
  async (_, limits) => {
    await using redis = await startRedis()
    await using proxy = delayedProxy(redis.port)
    await using server = await startModelServer(openAiScript())
    await using gateway = await startGateway({
      ...configOf([server]),
      limits,
      redis: { url: `redis://127.0.0.1:${proxy.port}`, timeout: '5s' },
    })
    const codes: unknown[] = []
    const took: number[] = []
    expect((await gateway.chat({ user: 'ada' })).status).toBe(200)
    proxy.delay(LATE_MS)

    for (const stream of [false, true]) {
      const startedAt = performance.now()
      const init = { headers: { 'x-citadel-timeout-ms': '50' } }
      const response = await gateway.chat({ user: 'ada', stream }, init)
      codes.push(JSON.parse(await response.text()).error.code)
      took.push(performance.now() - startedAt)
    }

    expect(codes).toEqual(['deadline_exceeded', 'deadline_exceeded'])
    expect(Math.max(...took)).toBeLessThan(LATE_MS / 2)
    expect(server.calls).toHaveLength(1)
  },
  20_000,
)

test('a caller waits no longer than he wants to for a stored answer in a slow Redis, and no server is asked', async () => {
  await using redis = await startRedis()
  await using proxy = delayedProxy(redis.port)
  await using server = await startModelServer(openAiScript())
  await using gateway = await startGateway({
    ...configOf([server]),
    cache: { enabled: true },
    limits: { enabled: false },
    redis: { url: `redis://127.0.0.1:${proxy.port}`, timeout: '5s' },
  })
  const headers = { 'content-type': 'application/json', 'x-citadel-timeout-ms': '50' }
  const codes: unknown[] = []
  expect((await gateway.chat({ seed: 1 })).status).toBe(200)
  proxy.delay(LATE_MS)
  const startedAt = performance.now()

  for (const [path, asked] of [
    ['chat/completions', { messages: [{ role: 'user', content: 'Hi' }] }],
    ['chat/completions', { messages: [{ role: 'user', content: 'Hi' }], stream: true }],
    ['embeddings', { input: ['a', 'b'] }],
  ] as const) {
    const body = JSON.stringify({ model: 'chat', ...asked })
    const response = await fetch(`${gateway.url}/v1/${path}`, { method: 'POST', headers, body })
    codes.push(JSON.parse(await response.text()).error.code)
  }

  expect(codes).toEqual(Array(3).fill('deadline_exceeded'))
  expect(performance.now() - startedAt).toBeLessThan(LATE_MS / 2)
  expect(server.calls).toHaveLength(1)
}, 20_000)

test.each([
  ['an answer', (gateway: TestGateway, init: RequestInit) => gateway.chat({ seed: 1 }, init)],
  ['a stream', (gateway: TestGateway, init: RequestInit) => gateway.chat({ seed: 1, stream: true }, init)],
  [
    'vectors',
    (gateway: TestGateway, init: RequestInit) =>
      fetch(`${gateway.url}/v1/embeddings`, {
        method: 'POST',
        body: JSON.stringify({ model: 'chat', input: 'Hi' }),
        ...init,
      }),
  ],
])(
  'a call whose caller has left while Redis looks for %s asks no server, and leaves nothing open',
  async (_, send) => {
    const folder = await ownFolder('citadel-slow-')
    try {
      await using redis = await startRedis()
      await using proxy = delayedProxy(redis.port)
      await using server = await startModelServer(openAiScript())
      await using gateway = await startGateway({
        ...configOf([server]),
        service: { data_dir: folder.path },
        cache: { enabled: true },
        redis: { url: `redis://127.0.0.1:${proxy.port}`, timeout: '5s' },
      })
      expect((await gateway.chat()).status).toBe(200)
      proxy.delay(300)

      const response = await send(gateway, { headers: { 'x-citadel-timeout-ms': '50' } })
      await gateway.logged({ code: 'deadline_exceeded' })
      // What Redis was asked before this call it has answered before.
      await (await gateway.chat({ seed: 2 })).text()

      expect(response.status).toBe(504)
      expect(server.calls).toHaveLength(2)
      expect(gaugeOf(await gateway.gateway.metrics(), 'gateway_holds_open')).toBe('0')
    } finally {
      await folder.remove()
    }
  },
  20_000,
)

test.each([false, true])(
  'a caller who has left while Redis looked for the answer that is there is over (stream: %p)',
  async stream => {
    await using redis = await startRedis()
    await using proxy = delayedProxy(redis.port)
    await using server = await startModelServer(openAiScript())
    const config = (port: number) => ({
      ...configOf([server]),
      cache: { enabled: true },
      redis: { url: `redis://127.0.0.1:${port}`, timeout: '5s' },
    })
    await using near = await startGateway(config(redis.port))
    await using far = await startGateway(config(proxy.port))
    await (await near.chat({ seed: 1 })).text()
    await (await far.chat({ seed: 2 })).text()
    proxy.delay(300)

    const leaving = new AbortController()
    const left = far.chat({ seed: 1, stream }, { signal: leaving.signal }).catch(() => null)
    await until(
      'the call is there',
      5000,
      async () => gaugeOf(await far.gateway.metrics(), 'http_requests_in_flight') === '1',
    )
    leaving.abort()
    await left
    const line = await far.logged({ code: 'client_closed_request' })

    expect(line).toMatchObject({ outcome: 'cancelled' })
    expect(gaugeOf(await far.gateway.metrics(), 'gateway_streams_active')).toBe('0')
  },
  20_000,
)
