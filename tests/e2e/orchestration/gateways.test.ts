import { expect, test } from 'bun:test'
import { startModelServer } from '#tests/support/gateway.ts'
import { chatCompletion } from '#tests/support/openai-upstream.ts'
import { json } from '#tests/support/upstream.ts'
import { ADMIN, answeredBy, manage, startFleet, until } from './fleet.ts'

const WHOLE = json(200, chatCompletion('test-model'))

/** A gateway above, and one below it that has the model and registers with it. */
async function twoGateways() {
  const server = await startModelServer(WHOLE)
  const above = await startFleet()
  const port = { at: 0 }
  const below = await startFleet(
    {
      service: { name: 'below' },
      servers: [{ id: 'gpu', kind: 'openai_compatible', base_url: server.url }],
      models: { 'test-model': { targets: [{ server: 'gpu' }] } },
      orchestration: { register_with: [{ url: above.url, api_key: ADMIN }] },
    },
    { own: () => (port.at === 0 ? null : { host: '127.0.0.1', port: port.at }) },
  )
  port.at = below.port
  const id = `below-127.0.0.1-${below.port}`
  await until('its models are known', async () => (await answeredBy(above.url)) === id)
  return {
    server,
    above,
    id,
    async [Symbol.asyncDispose]() {
      for (const each of [below, above, server]) await each[Symbol.asyncDispose]()
    },
  }
}

test('a gateway registers itself with another, and is routed to', async () => {
  await using gateways = await twoGateways()
  const { above, id, server } = gateways

  const { body } = await manage(above.url, 'GET', `/orchestration/servers/${id}/health`)

  expect(body).toMatchObject({ server_id: id, role: 'gateway', origin: 'registration' })
  expect(body.models).toEqual(['test-model'])
  expect(server.calls.length).toBeGreaterThan(0)
}, 20_000)

test('a request that came through three gateways goes to no fourth', async () => {
  await using gateways = await twoGateways()
  const before = gateways.server.calls.length
  const call = (via: string) =>
    fetch(`${gateways.above.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { via },
      body: JSON.stringify({ model: 'test-model', messages: [{ role: 'user', content: 'Hi' }] }),
    })

  const twice = await call('1.1 citadel-a, 1.1 citadel-b')
  const thrice = await call('1.1 citadel-a, 1.1 citadel-b, 1.1 citadel-c')

  expect(twice.status).toBe(200)
  expect(thrice.status).toBeGreaterThanOrEqual(500)
  expect(JSON.stringify(await thrice.json())).toContain('loop_detected')
  expect(gateways.server.calls).toHaveLength(before + 1)
}, 20_000)
