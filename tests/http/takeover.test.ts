import { expect, test } from 'bun:test'
import type { ConfigInput } from '#config/schema.ts'
import { configFrom } from '#src/index.ts'
import { ADMINISTERED, AS_ADMIN, type Edge, edgeOf, SERVER, WEBHOOK_SECRET } from './edge.ts'

const ID = SERVER.server_info.id
const without: ConfigInput = { ...ADMINISTERED, gateway: { demo: true, discover: false } }
const declaring: ConfigInput = {
  ...without,
  servers: [{ id: ID, kind: 'openai_compatible', base_url: 'http://10.0.0.34:11434' }],
}

/** Neither the model server nor anybody else answers. */
const nobody = { transport: () => Promise.reject(new TypeError('connection refused')) }

const post = (edge: Edge, path: string, body?: object) => edge.ask(path, { method: 'POST', headers: AS_ADMIN, body })

async function statusOf(edge: Edge): Promise<unknown> {
  const answer = await edge.ask(`/orchestration/servers/${ID}/health`, { headers: AS_ADMIN })
  return ((await answer.json()) as { status?: unknown }).status
}

test('a server that the configuration has taken over stays drained, and does not depart for its silence', async () => {
  const edge = await edgeOf(without, nobody)
  await post(edge, '/orchestration/servers/register', SERVER)
  edge.gateway.reload(configFrom(declaring))
  await post(edge, `/orchestration/failover/${ID}`)
  await edge.pass(300_000)

  expect(await statusOf(edge)).toBe('draining')
  const removed = await edge.ask(`/orchestration/servers/${ID}`, { method: 'DELETE', headers: AS_ADMIN })
  expect([removed.status, await statusOf(edge)]).toEqual([404, 'draining'])
  expect((await edge.log()).join('\n')).not.toContain('departed')
})

test('once the configuration lets go of it, it departs', async () => {
  const edge = await edgeOf(declaring, nobody)
  edge.gateway.reload(configFrom(without))
  await post(edge, '/orchestration/servers/register', SERVER)
  edge.gateway.reload(configFrom(declaring))
  await edge.pass(300_000)
  edge.gateway.reload(configFrom(without))
  await edge.pass(5000)

  expect(await statusOf(edge)).toBeUndefined()
})

test('an alert that is resolved while the configuration leaves its server out is over when it is back', async () => {
  const edge = await edgeOf(declaring, nobody)
  const alert = (status: string) =>
    edge.ask('/webhooks/alertmanager', {
      method: 'POST',
      headers: { authorization: `Bearer ${WEBHOOK_SECRET}` },
      body: { version: '4', status, alerts: [{ status, labels: { server: ID, action: 'drain' }, fingerprint: 'f' }] },
    })
  await alert('firing')
  expect(await statusOf(edge)).toBe('draining')

  edge.gateway.reload(configFrom(without))
  await alert('resolved')
  edge.gateway.reload(configFrom(declaring))

  expect(await statusOf(edge)).toBe('active')
})
