import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { createIds } from '#lib/id.ts'
import { isSignedBy } from '#lib/standard-webhooks.ts'
import { createSqlEvents } from '#stores/sql-events.ts'
import { openAt } from '#tests/contract/database.ts'
import { seen } from '#tests/contract/events.ts'
import { startModelServer } from '#tests/support/gateway.ts'
import { chatCompletion } from '#tests/support/openai-upstream.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { bytes, cut, hang, head, json, startUpstream } from '#tests/support/upstream.ts'
import { answeredBy, manage, readEvents, register, startFleet, startMember, until } from './fleet.ts'

const WHOLE = json(200, chatCompletion('test-model'))

test('a server that comes, fails over, comes back and leaves is told of in this order', async () => {
  const member = await startMember()
  await using gateway = await startFleet()
  const reader = await readEvents(gateway.url)
  await register(gateway.url, 'b', member)
  await until('it answers', async () => (await answeredBy(gateway.url)) === 'b')

  await member.close()
  await until('it is failed over', () => reader.has('failover_completed', 'b'))
  await manage(gateway.url, 'DELETE', '/orchestration/servers/b')
  await until('it has left', () => reader.has('server_departed', 'b'))
  await reader.stop()

  expect(reader.events.map(({ type }) => type)).toEqual([
    'server_registered',
    'cluster_rebalanced',
    'health_status_changed',
    'failover_initiated',
    'cluster_rebalanced',
    'failover_completed',
    'server_departed',
  ])
  expect(reader.events).toMatchObject([
    { data: { address: member.url, by: expect.any(String) } },
    { data: { trigger: 'server-registered', shares: { b: 1 } } },
    { data: { from: expect.any(String), to: 'unhealthy', reason: 'it cannot be reached' } },
    { data: { trigger: 'automatic', in_flight: 0 } },
    { data: { trigger: 'health-changed', shares: {} } },
    { data: { outcome: 'drained' } },
    { data: { reason: 'removed' } },
  ])
}, 30_000)

test('a drained server is told of, and so is its return', async () => {
  await using server = await startModelServer(WHOLE)
  await using gateway = await startFleet({ servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }] })
  const reader = await readEvents(gateway.url)

  await manage(gateway.url, 'POST', '/orchestration/failover/a')
  await manage(gateway.url, 'POST', '/orchestration/failover/a')
  await until('it is drained', () => reader.has('failover_completed', 'a'))
  await manage(gateway.url, 'POST', '/orchestration/recover/a')
  await until('it is back', () => reader.events.length === 4)
  await reader.stop()

  expect(reader.events.map(({ type }) => type)).toEqual([
    'failover_initiated',
    'cluster_rebalanced',
    'failover_completed',
    'cluster_rebalanced',
  ])
  expect(reader.events[0]).toMatchObject({ server: 'a', data: { trigger: 'manual', by: expect.any(String) } })
})

test('a server above a threshold is told of once', async () => {
  await using member = await startMember()
  await using gateway = await startFleet()
  await register(gateway.url, 'b', member)
  const reader = await readEvents(gateway.url)
  const beat = { load_metrics: { cpu_percent: 97, memory_percent: 20, error_rate: 0, queue: 3 } }
  await manage(gateway.url, 'POST', '/orchestration/servers/b/heartbeat', beat)

  await until('it is told', () => reader.has('load_threshold_exceeded', 'b'))
  await reader.stop()

  // That it has come, and is well, may be told before or after the reader is there.
  expect(reader.events.filter(({ type }) => type === 'load_threshold_exceeded')).toMatchObject([
    { server: 'b', data: { metric: 'cpu', value: 97, threshold: 85 } },
  ])
}, 20_000)

/** The three events until a server is drained, as somebody has read them who left then. */
async function eventsOfFailover(url: string): Promise<Awaited<ReturnType<typeof readEvents>>['events']> {
  const reader = await readEvents(url)
  await manage(url, 'POST', '/orchestration/failover/a')
  await until('it is drained', () => reader.events.length === 3)
  await reader.stop()
  return reader.events
}

test('who comes back with the last id gets what was missed, and nothing twice', async () => {
  await using server = await startModelServer(WHOLE)
  await using gateway = await startFleet({ servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }] })
  const before = await eventsOfFailover(gateway.url)
  await manage(gateway.url, 'POST', '/orchestration/recover/a')

  const again = await readEvents(gateway.url, before[0]?.id)
  await until('all is there', () => again.events.length === 3)
  await again.stop()

  expect(again.events.slice(0, 2)).toEqual(before.slice(1))
  expect(new Set(again.events.map(({ id }) => id)).size).toBe(3)
  expect((await manage(gateway.url, 'GET', '/orchestration/events?after=yesterday')).status).toBe(400)
})

test('a client for browsers that comes back with the last id in its own name gets what was missed', async () => {
  await using server = await startModelServer(WHOLE)
  await using gateway = await startFleet({ servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }] })
  const before = await eventsOfFailover(gateway.url)
  const [first, second, ...missed] = before

  const again = await readEvents(gateway.url, undefined, `?after=${first?.id}&lastEventId=${second?.id}`)
  await until('all is there', () => again.events.length === 1)
  await again.stop()

  expect(again.events).toEqual(missed)
})

test('who comes with an id that lies ahead of all events is told from now on', async () => {
  await using server = await startModelServer(WHOLE)
  await using gateway = await startFleet({ servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }] })
  const reader = await readEvents(gateway.url, 'ffffffff-ffff-7fff-bfff-ffffffffffff')

  await manage(gateway.url, 'POST', '/orchestration/failover/a')
  await until('it is told', () => reader.has('failover_completed', 'a'))
  await reader.stop()

  expect(reader.events[0]).toMatchObject({ type: 'failover_initiated', server: 'a' })
}, 20_000)

test('who is further behind than is told at once gets all of it, coming back with the last id', async () => {
  const folder = await ownFolder('citadel-events-')
  const file = join(folder.path, 'citadel.db')
  const database = openAt({ kind: 'sqlite', file })
  const observed = Array.from({ length: 1300 }, () => seen(Date.now() - 60_000))
  const [first, ...missed] = await createSqlEvents(database, createIds()).add(observed)
  await database.close()
  await using gateway = await startFleet({ database: { url: `sqlite://${file}` } })

  const reader = await readEvents(gateway.url, first?.id)
  await reader.ended
  const again = await readEvents(gateway.url, reader.events.at(-1)?.id)
  await until('all is there', () => reader.events.length + again.events.length >= missed.length)
  await again.stop()

  expect([...reader.events, ...again.events].map(({ id }) => id)).toEqual(missed.map(({ id }) => id))
  await folder.remove()
}, 30_000)

test('two processes see the same failure as one event, delivered once and signed', async () => {
  const secret = `whsec_${Buffer.from('a secret of the receiver').toString('base64')}`
  const folder = await ownFolder('citadel-events-')
  const database = { url: `sqlite://${join(folder.path, 'citadel.db')}` }
  const server = await startModelServer(WHOLE)
  await using receiver = await startUpstream(request => json(request.index === 0 ? 500 : 200, {}))
  const config = {
    database,
    servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }],
    webhooks: { deliver: [{ url: `${receiver.url}/hook?sig=a%2Bb`, secret, events: ['health_status_changed'] }] },
  }
  await using first = await startFleet(config)
  await using second = await startFleet(config)
  const readers = await Promise.all([first, second].map(({ url }) => readEvents(url)))
  // Something must be there before both can agree on it.
  await manage(first.url, 'POST', '/orchestration/failover/a')
  await manage(first.url, 'POST', '/orchestration/recover/a')

  await server.close()
  for (const reader of readers) await until('both tell', () => reader.has('health_status_changed', 'a'))
  await until('it was delivered', () => receiver.requests.length === 2)
  for (const reader of readers) await reader.stop()

  const told = readers.map(({ events }) => events.filter(({ type }) => type === 'health_status_changed'))
  expect(told[0]).toEqual(told[1] ?? [])
  expect(told[0]).toHaveLength(1)
  const [refused, taken] = receiver.requests
  expect(refused?.body).toBe(taken?.body ?? '')
  expect(taken?.path).toBe('/hook?sig=a%2Bb')
  for (const request of [refused, taken]) {
    const header = (name: string) => request?.headers[`webhook-${name}`] ?? ''
    const message = { id: header('id'), seconds: Number(header('timestamp')), body: request?.body ?? '' }
    expect(message.id).toBe(told[0]?.[0]?.id ?? '')
    expect(isSignedBy(secret, message, header('signature'))).toBe(true)
  }
  expect(JSON.parse(taken?.body ?? '')).toMatchObject({ type: 'health_status_changed', data: { server: 'a' } })
  await folder.remove()
}, 30_000)

test('an event is delivered once to whoever takes it, however much follows the status, and when it breaks off', async () => {
  await using server = await startModelServer(WHOLE)
  const answers = [
    [head(200, { 'content-length': String(2 ** 30) }), hang()],
    [head(200, { 'content-length': '20' }), bytes('half'), cut()],
    [head(204)],
  ]
  await using receiver = await startUpstream(request => answers[request.index] ?? head(204))
  await using gateway = await startFleet({
    servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }],
    webhooks: { deliver: [{ url: receiver.url }] },
  })

  await manage(gateway.url, 'POST', '/orchestration/failover/a')
  await until('three were delivered', () => receiver.requests.length === 3)

  expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(3)
})
