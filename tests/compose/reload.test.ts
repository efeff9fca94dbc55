import { expect, test } from 'bun:test'
import { configFrom, createGateway } from '#src/index.ts'
import { connectionFrom } from '#tests/support/connection.ts'
import { startGateway } from '#tests/support/gateway.ts'
import { ollamaTags } from '#tests/support/ollama-upstream.ts'
import { gate, json, startUpstream } from '#tests/support/upstream.ts'

const configured = (keepAlive: string) =>
  configFrom({
    service: { keep_alive: keepAlive, data_dir: '/nowhere' },
    gateway: { discover: false, demo: true },
    database: { url: 'sqlite::memory:' },
  })

/** For how long the connection of one stream may be silent, each time that it is said. */
async function silences(fetch: ReturnType<typeof createGateway>['fetch']): Promise<readonly number[]> {
  const said: number[] = []
  const connection = { ...connectionFrom('127.0.0.1'), idle: (seconds: number) => void said.push(seconds) }
  const body = JSON.stringify({ model: 'citadel-demo', stream: true, messages: [{ role: 'user', content: 'Hi' }] })
  const request = new Request('http://localhost/v1/chat/completions', { method: 'POST', body })
  await (await fetch(request, connection)).text()
  return said
}

test('how long connections are kept waits for the next start, also behind a stream', async () => {
  const gateway = createGateway(configured('5s'))
  await gateway.found
  const before = await silences(gateway.fetch)

  gateway.reload(configured('9s'))
  const after = await silences(gateway.fetch)
  await gateway.close()

  expect(before).toEqual([0, 5])
  expect(after).toEqual([0, 5])
})

test('a server that was found keeps to the timeouts of the new configuration', async () => {
  await using ollama = await startUpstream(({ path }) =>
    path === '/api/chat' ? [gate()] : json(200, ollamaTags('phi3')),
  )
  const found = { gateway: { discover: true, demo: false }, database: { url: 'sqlite::memory:' } }
  await using gateway = await startGateway(found, { env: { OLLAMA_HOST: ollama.url } })
  await gateway.gateway.found

  gateway.gateway.reload(configFrom({ ...found, timeouts: { first_byte: '50ms' }, retry: { max_attempts: 1 } }))
  const answer = await gateway.chat({ model: 'phi3' })

  expect(answer.status).toBe(504)
})

test('what waits for the next start is shown as it holds', async () => {
  const input = { auth: { admin_keys: ['admin-key'] }, database: { url: 'sqlite::memory:' } }
  await using gateway = await startGateway(input)

  gateway.gateway.reload(configFrom({ ...input, service: { port: 1234, name: 'other' }, redis: { timeout: '1s' } }))
  const headers = { authorization: 'Bearer admin-key' }
  const answer = await (await fetch(`${gateway.url}/management/config?limit=500`, { headers })).json()
  const value = (key: string) => answer.data.find((entry: { key: string }) => entry.key === key)?.value

  expect([value('service.port'), value('service.name'), value('redis.timeout')]).toEqual([8000, 'other', 300])
})

test('who was held back by a small limit is let in as soon as another one holds', async () => {
  const input = { gateway: { discover: false, demo: true }, database: { url: 'sqlite::memory:' } }
  await using gateway = await startGateway(input)
  const braked = configFrom({ ...input, limits: { global: { requests_per_minute: 1 } } })
  const statuses: number[] = []
  const ask = async () => statuses.push((await gateway.chat({ model: 'citadel-demo' })).status)

  gateway.gateway.reload(braked)
  await ask()
  await ask()
  gateway.gateway.reload(configFrom(input))
  await ask()

  expect(statuses).toEqual([200, 429, 200])
})

test('a gateway that a reload names hears of this one at once', async () => {
  await using first = await startUpstream(json(201, {}))
  await using second = await startUpstream(json(201, {}))
  const inputOf = (...register_with: readonly string[]) => ({
    database: { url: 'sqlite::memory:' },
    orchestration: { register_with: [...register_with], advertise: 'http://gateway.test:8000' },
  })
  await using gateway = await startGateway(inputOf(first.url))
  await first.received(1)

  gateway.gateway.reload(configFrom(inputOf(first.url, second.url)))

  expect(await second.received(1)).toMatchObject({ method: 'POST', path: '/orchestration/servers/register' })
})
