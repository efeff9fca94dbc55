import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { startModelServer } from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { gate, json, sse } from '#tests/support/upstream.ts'
import { answeredBy, manage, register, registrationOf, startFleet, startMember, until } from './fleet.ts'

const WHOLE = json(200, chatCompletion('test-model'))

test('a server that registers is asked for its models, and answers them', async () => {
  await using member = await startMember()
  await using gateway = await startFleet()

  const { status, body } = await register(gateway.url, 'llm-02', member, { role: 'business', capabilities: ['chat'] })

  expect(status).toBe(200)
  expect(body).toMatchObject({
    server_id: 'llm-02',
    hostname: '127.0.0.1',
    port: member.port,
    kind: 'openai_compatible',
    role: 'business',
    origin: 'registration',
    status: 'active',
    capabilities: ['chat'],
  })
  await until('it answers', async () => (await answeredBy(gateway.url)) === 'llm-02')
  await until('it is healthy', async () => {
    const { body } = await manage(gateway.url, 'GET', '/orchestration/servers/llm-02/health')
    return body.health_status === 'healthy' && body.models?.includes('test-model') === true
  })
})

test('it joins a model that the configuration declares', async () => {
  await using first = await startModelServer(WHOLE)
  await using member = await startModelServer(WHOLE)
  await using gateway = await startFleet({
    servers: [{ id: 'a', kind: 'openai_compatible', base_url: first.url }],
    models: { 'test-model': { targets: [{ server: 'a' }] } },
  })

  await register(gateway.url, 'b', member, { models: ['test-model'] })

  const answers = new Set([await answeredBy(gateway.url), await answeredBy(gateway.url)])
  expect(answers).toEqual(new Set(['a', 'b']))
})

test.each([
  ['模型-7b', '%E6%A8%A1%E5%9E%8B-7b'],
  ['größe', 'gr%C3%B6%C3%9Fe'],
  ['a\u2028b', 'a%E2%80%A8b'],
])('a model that a server calls %j is answered, its name in the header as %s', async (model, header) => {
  await using member = await startModelServer(openAiScript())
  await using gateway = await startFleet()
  await register(gateway.url, 'b', member, { models: [model] })

  const plain = await gateway.chat({ model })
  const stream = await gateway.chat({ model, stream: true })

  expect([plain.status, plain.headers.get('x-citadel-model')]).toEqual([200, header])
  expect([stream.status, stream.headers.get('x-citadel-model')]).toEqual([200, header])
  expect(await stream.text()).toEndWith('data: [DONE]\n\n')
  expect((await plain.json()).choices).toHaveLength(1)
})

test('a server that is only watched is listed and probed, and never called', async () => {
  await using service = await startModelServer(WHOLE)
  await using gateway = await startFleet()

  await register(gateway.url, 'grafana', service, { kind: 'service', models: ['test-model'], services: ['dashboards'] })
  await until('it was probed', async () => {
    const { body } = await manage(gateway.url, 'GET', '/orchestration/servers/grafana/health')
    return body.health_status === 'healthy'
  })

  expect(await answeredBy(gateway.url)).toBeNull()
  expect(service.calls).toHaveLength(0)
})

test('it is probed where it says, with the credential of that name', async () => {
  const paths: string[] = []
  await using member = await startModelServer(request => {
    paths.push(`${request.headers.authorization}`)
    return WHOLE
  })
  await using gateway = await startFleet({ orchestration: { credentials: { gpu: 'sk-of-the-gpu-servers' } } })
  const wished = { ...registrationOf('b', member, { credential: 'gpu', models: ['m'] }), health_endpoint: '/up' }

  await manage(gateway.url, 'POST', '/orchestration/servers/register', wished)

  await until('it was probed', () => member.requests.some(({ path }) => path === '/up'))
  expect(await answeredBy(gateway.url, 'm')).toBe('b')
  expect(paths).toEqual(['Bearer sk-of-the-gpu-servers'])
})

describe('a registration is refused', () => {
  const bad: readonly (readonly [string, object, number, string])[] = [
    ['from a private address', { hostname: '10.0.0.1' }, 400, 'address_not_allowed'],
    ['from the metadata of a cloud, in decimal', { hostname: '2852039166' }, 400, 'address_not_allowed'],
    ['from a name at a private address', { hostname: 'inside.example' }, 400, 'address_not_allowed'],
    ['with a path in the host', { hostname: '1.1.1.1/x' }, 400, 'invalid_request'],
    ['with a user in the host', { hostname: 'a@1.1.1.1' }, 400, 'invalid_request'],
    ['with a control character in the name of a model', { models: ['chat', 'chat\n2'] }, 400, 'invalid_request'],
    ['with one in a capability', { capabilities: ['\u001b[2J'] }, 400, 'invalid_request'],
    ['with half a character in its role', { role: 'main \ud83d' }, 400, 'invalid_request'],
    ['of an unknown kind', { kind: 'telepathy' }, 400, 'invalid_request'],
    ['with a credential that is not there', { credential: 'nothing' }, 400, 'invalid_request'],
    ['with a key itself', { api_key: 'sk-1' }, 400, 'invalid_request'],
    ['under the id of a declared server', { id: 'a' }, 409, 'conflict'],
  ]

  test.each(bad)('%s', async (_, more, status, code) => {
    await using server = await startModelServer(WHOLE)
    await using gateway = await startFleet(
      { servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }] },
      { lookup: async () => ['192.168.0.1'] },
    )

    const answer = await register(gateway.url, 'b', server, more)

    expect([answer.status, answer.body.error?.code ?? '']).toEqual([status, code])
    const { body } = await manage(gateway.url, 'GET', '/orchestration/servers/list')
    expect(body.servers?.map(({ server_id }) => server_id)).toEqual(['a'])
  })
})

test('a kind that is called by the name of a program is told what it is called here', async () => {
  await using gateway = await startFleet()

  const { body } = await manage(
    gateway.url,
    'POST',
    '/orchestration/servers/register',
    registrationOf('b', { port: 9 }, { kind: 'vLLM' }),
  )

  expect(body.error?.message).toEndWith('service, got "vLLM", did you mean "openai_compatible"?')
})

test('a server without a sign of life departs; one that gives some stays', async () => {
  await using silent = await startMember()
  await using alive = await startMember()
  await using gateway = await startFleet({ orchestration: { heartbeat_timeout: '3s' } })
  await register(gateway.url, 'silent', silent)
  await register(gateway.url, 'alive', alive)

  await until('the silent one is gone', async () => {
    await manage(gateway.url, 'POST', '/orchestration/servers/alive/heartbeat', { load_metrics: { cpu_percent: 12 } })
    return (await manage(gateway.url, 'GET', '/orchestration/servers/silent/health')).status === 404
  })

  const { body } = await manage(gateway.url, 'GET', '/orchestration/servers/alive/health')
  expect(body.load_metrics).toMatchObject({ cpu_percent: 12 })
  expect((await manage(gateway.url, 'POST', '/orchestration/servers/silent/heartbeat')).status).toBe(404)
}, 20_000)

test('a server that is removed gets no more requests', async () => {
  await using member = await startMember()
  await using gateway = await startFleet()
  await register(gateway.url, 'b', member, { models: ['test-model'] })
  expect(await answeredBy(gateway.url)).toBe('b')

  const { body } = await manage(gateway.url, 'DELETE', '/orchestration/servers/b')

  expect(body).toEqual({ server_id: 'b', removed: true })
  expect(await answeredBy(gateway.url)).toBeNull()
  expect((await manage(gateway.url, 'DELETE', '/orchestration/servers/b')).status).toBe(404)
})

test('processes that share a database share the registry, and a restart remembers it', async () => {
  await using member = await startMember()
  const folder = await ownFolder('citadel-registry-')
  const database = { url: `sqlite://${join(folder.path, 'citadel.db')}` }
  {
    await using first = await startFleet({ database })
    await using second = await startFleet({ database })
    await register(first.url, 'b', member, { models: ['test-model'] })

    await until('the other process knows it', async () => (await answeredBy(second.url)) === 'b')
    await manage(second.url, 'POST', '/orchestration/failover/b')
    await until('both drain it', async () => (await answeredBy(first.url)) === null)
  }

  await using again = await startFleet({ database })
  await until('it is known again', async () => {
    const { status, body } = await manage(again.url, 'GET', '/orchestration/servers/b/health')
    return status === 200 && body.status === 'draining'
  })
  await manage(again.url, 'POST', '/orchestration/recover/b')
  expect(await answeredBy(again.url)).toBe('b')
  await folder.remove()
}, 20_000)

describe('failover by hand', () => {
  test('sends new requests elsewhere while streams go on to their end, and is undone', async () => {
    const held = gate()
    const [role, ...rest] = chatEvents('test-model')
    await using first = await startModelServer(request =>
      request.body.includes('"stream":true') ? sse([role ?? '', rest[0] ?? '', held, ...rest.slice(1)]) : WHOLE,
    )
    await using second = await startModelServer(WHOLE)
    await using gateway = await startFleet({
      servers: [first, second].map(({ url }, index) => ({ id: 'ab'[index], kind: 'openai_compatible', base_url: url })),
      models: { 'test-model': { targets: [{ server: 'a' }, { server: 'b' }] } },
      load_balancer: { algorithm: 'explicit' },
    })
    const stream = await gateway.chat({ model: 'test-model', stream: true })
    expect(stream.headers.get('x-citadel-server')).toBe('a')

    const drained = await manage(gateway.url, 'POST', '/orchestration/failover/a')
    const during = [await answeredBy(gateway.url), await answeredBy(gateway.url)]
    held.open()
    const text = await stream.text()
    const recovered = await manage(gateway.url, 'POST', '/orchestration/recover/a')

    expect(drained.body).toEqual({ server_id: 'a', status: 'draining', in_flight: 1 })
    expect(during).toEqual(['b', 'b'])
    expect(text).toEndWith('data: [DONE]\n\n')
    expect(recovered.body).toEqual({ server_id: 'a', status: 'active', in_flight: 0 })
    expect(await answeredBy(gateway.url)).toBe('a')
  })

  test('of a server that is not there is not found', async () => {
    await using gateway = await startFleet()

    for (const what of ['failover', 'recover'])
      expect((await manage(gateway.url, 'POST', `/orchestration/${what}/nobody`)).status).toBe(404)
  })
})
