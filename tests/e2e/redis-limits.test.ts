import { expect, test } from 'bun:test'
import { configFrom, createGateway, type Gateway } from '#src/index.ts'
import { type Redis, startRedis } from '#tests/support/redis.ts'

const KEY = 'sk-of-somebody-with-limits'

function gatewayOn(server: Redis): Gateway {
  return createGateway(
    configFrom({
      gateway: { demo: true, discover: false },
      auth: { keys: [{ name: 'web', key: KEY, limits: { requests_per_minute: 10, concurrent_requests: 50 } }] },
      limits: { global: { requests_per_minute: 0 }, per_model: { 'citadel-demo': { concurrent_requests: 50 } } },
      redis: { url: server.url, timeout: '5s' },
    }),
  )
}

function ask(gateway: Gateway, more: object = {}): Promise<Response> {
  const body = JSON.stringify({ model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }], ...more })
  const request = { method: 'POST', body, headers: { authorization: `Bearer ${KEY}` } }
  return gateway.fetch(new Request('http://localhost/v1/chat/completions', request))
}

/** Leases that are out, of the key and of the model. */
async function held(server: Redis): Promise<string[]> {
  const keys = ['key:web:concurrent', 'model:citadel-demo:concurrent']
  return Promise.all(keys.map(key => server.command('ZCARD', `{citadel}:limits:${key}`)))
}

test('two gateways on one Redis admit ten of a hundred at once, and nobody holds anything afterwards', async () => {
  await using server = await startRedis()
  const gateways = [gatewayOn(server), gatewayOn(server)]
  await Promise.all(gateways.map(gateway => gateway.found))

  const answers = await Promise.all(
    gateways.flatMap(gateway => Array.from({ length: 50 }, (_, at) => ask(gateway, { stream: at % 2 === 0 }))),
  )
  const during = await held(server)
  // Half of the streams are read, the others left.
  for (const [at, { body }] of answers.entries()) await (at % 4 === 0 ? body?.cancel() : new Response(body).text())

  expect(answers.filter(({ status }) => status === 200)).toHaveLength(10)
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(90)
  expect(during).not.toEqual(['(integer) 0', '(integer) 0'])
  const deadline = performance.now() + 5000
  while ((await held(server)).some(count => count !== '(integer) 0')) {
    if (performance.now() > deadline) throw new Error(`still held: ${await held(server)}`)
    await Bun.sleep(10)
  }
  for (const gateway of gateways) await gateway.close()
}, 30_000)
