import { describe, expect, test } from 'bun:test'
import type { z } from 'zod'
import type { Transport } from '#providers/transport.ts'
import { VERSION } from '#src/version.ts'
import { detailedHealthReport, healthReport, liveness, readiness } from '#wire/health.ts'
import { modelEntry, modelList, modelsStatus, providerList } from '#wire/models.ts'
import { gatewayCard } from '#wire/service.ts'
import { ADMINISTERED, AS_ADMIN, type Edge, edgeOf } from './edge.ts'

/** Two servers, of which the first answers and the second does not. */
const config = {
  service: { name: 'unified-api-gateway' },
  gateway: { demo: false, discover: false },
  servers: [
    { id: 'first', kind: 'openai_compatible', base_url: 'http://first.test' },
    { id: 'second', kind: 'openai_compatible', base_url: 'http://second.test' },
  ],
  models: {
    'mixtral-8x7b': {
      targets: [{ server: 'first' }, { server: 'second' }],
      aliases: ['mixtral'],
      class: 'heavyweight',
    },
    'phi-3-mini': { targets: [{ server: 'first' }], fallbacks: ['mixtral-8x7b'] },
  },
} as const

/** A network on which only these hosts answer. */
function network(up: ReadonlySet<string>): Transport {
  return async outgoing => {
    const host = new URL(outgoing.url).hostname
    if (!up.has(host)) throw new TypeError('connection refused')
    return {
      head: { status: 200, header: () => null },
      read: async () => null,
      text: async () => '{"object":"list","data":[]}',
      close() {},
    } as unknown as Awaited<ReturnType<Transport>>
  }
}

/** A gateway over the two servers, after so many probes that what is down is known to be. */
async function probed(...up: string[]): Promise<Edge> {
  const edge = await edgeOf(config as unknown as Parameters<typeof edgeOf>[0], { transport: network(new Set(up)) })
  await edge.pass(12_000)
  return edge
}

async function read(edge: Edge, path: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await edge.ask(path)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

/** What a strict reader of the schema has against a value, unknown keys at any depth included. */
function complaints(schema: z.ZodType, value: unknown): string[] {
  const { error, data } = schema.safeParse(value)
  if (error !== undefined) return error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`)
  return Bun.deepEquals(data, value) ? [] : ['the answer has keys that the schema does not know']
}

describe('GET /health', () => {
  test('has exactly the shape that its readers were promised', async () => {
    const edge = await probed('first.test', 'second.test')

    const { status, body } = await read(edge, '/health')

    expect(status).toBe(200)
    expect(body).toEqual({
      status: 'healthy',
      gateway: 'unified-api-gateway',
      models: ['mixtral-8x7b', 'phi-3-mini'],
      timestamp: '2026-01-01T00:00:12.000Z',
      version: VERSION,
      uptime: 12,
      services: { api: 'healthy' },
      servers: { total: 2, healthy: 2 },
    })
  })

  test.each([-3_600_000, 86_400_000])('tells how long it runs when the clock is set by %d ms', async ms => {
    const edge = await edgeOf(ADMINISTERED)
    await edge.pass(12_000)
    edge.clock.jump(ms)
    const stats = await edge.ask('/management/stats', { headers: AS_ADMIN })

    expect((await read(edge, '/health')).body).toMatchObject({ uptime: 12 })
    expect(await stats.json()).toMatchObject({ uptime_seconds: 12 })
  })

  test('is the same at /v1/health and with a slash at its end', async () => {
    const edge = await probed('first.test', 'second.test')

    const { body } = await read(edge, '/health')

    for (const path of ['/v1/health', '/health/', '/v1/health/']) expect((await read(edge, path)).body).toEqual(body)
  })

  test('says that a gateway answers, so that none takes another for a model server', async () => {
    const edge = await probed()

    for (const path of ['/health', '/v1/models'])
      expect((await edge.ask(path)).headers.get('x-citadel-gateway')).toBe(VERSION)
  })
})

describe('as servers come and go', () => {
  test.each([
    [['first.test', 'second.test'], 'healthy', 200, 'ready', 200],
    [['first.test'], 'degraded', 200, 'ready', 200],
    [[], 'unhealthy', 503, 'not_ready', 503],
  ])('with the servers %j up the gateway is %s', async (up, status, code, ready, readyCode) => {
    const edge = await probed(...up)

    const [health, detailed, readyz] = [
      await read(edge, '/health'),
      await read(edge, '/health/detailed'),
      await read(edge, '/readyz'),
    ]

    expect([health.status, health.body.status]).toEqual([code, status])
    expect([detailed.status, detailed.body.status]).toEqual([code, status])
    expect([readyz.status, readyz.body.status]).toEqual([readyCode, ready])
  })

  test('memory above its thresholds is told of, and so is what is not there', async () => {
    const levels: unknown[] = []
    for (const memory of [0.8, 0.81, 0.951]) {
      const edge = await edgeOf({}, { pressure: () => ({ lagMs: 0, memory }) })
      const { status, body } = await read(edge, '/health/detailed')
      const { memory: told } = body as unknown as { memory: { status: string } }
      levels.push([status, body.status, told.status])
      expect(body).toMatchObject({
        dependencies: { redis: { status: 'not_configured' }, database: { status: 'not_configured' } },
        thresholds: { memory: [0.8, 0.95] },
      })
    }

    expect(levels).toEqual([
      [200, 'healthy', 'healthy'],
      [200, 'degraded', 'degraded'],
      [503, 'unhealthy', 'unhealthy'],
    ])
  })

  test('every server says why it is out', async () => {
    const edge = await probed('first.test')

    const { body } = await read(edge, '/health/detailed')

    expect(body.servers).toMatchObject([
      {
        id: 'first',
        kind: 'openai_compatible',
        status: 'healthy',
        reason: null,
        models: ['mixtral-8x7b', 'phi-3-mini'],
      },
      { id: 'second', status: 'unhealthy', reason: expect.any(String), models: ['mixtral-8x7b'], last_seen: null },
    ])
  })

  test('every model says which of its targets are up', async () => {
    const edge = await probed('first.test')

    const { status, body } = await read(edge, '/models/status')

    expect(status).toBe(200)
    expect(body.models).toMatchObject([
      {
        id: 'mixtral-8x7b',
        status: 'degraded',
        aliases: ['mixtral'],
        targets: [{ server: 'first' }, { server: 'second' }],
      },
      { id: 'phi-3-mini', status: 'available', fallbacks: ['mixtral-8x7b'] },
    ])
  })

  test('a model without a healthy target is unavailable', async () => {
    const { body } = await read(await probed('second.test'), '/models/status')

    expect(body.models).toMatchObject([{ status: 'degraded' }, { id: 'phi-3-mini', status: 'unavailable' }])
  })

  test('the servers are listed by kind', async () => {
    const { body } = await read(await probed('first.test'), '/v1/providers')

    expect(body).toEqual({
      object: 'list',
      data: [
        {
          id: 'openai_compatible',
          object: 'provider',
          servers: [
            { id: 'first', status: 'healthy', models: ['mixtral-8x7b', 'phi-3-mini'] },
            { id: 'second', status: 'unhealthy', models: ['mixtral-8x7b'] },
          ],
        },
      ],
    })
  })
})

describe('GET /readyz', () => {
  test('is off from the moment that draining begins, and everything is still served', async () => {
    const edge = await edgeOf()
    expect((await edge.ask('/readyz')).status).toBe(200)

    edge.gateway.drain()

    expect(await read(edge, '/readyz')).toEqual({
      status: 503,
      body: { status: 'not_ready', reason: 'the gateway is shutting down' },
    })
    expect((await edge.chat()).status).toBe(200)
    expect((await edge.chat()).headers.get('connection')).toBe('close')
    expect((await read(edge, '/health')).body).toMatchObject({ services: { api: 'draining' } })
    expect((await edge.ask('/livez')).status).toBe(200)
  })

  test('is off where nothing is configured and nothing was found', async () => {
    const edge = await edgeOf({ gateway: { demo: false, discover: false } })

    expect((await edge.ask('/readyz')).status).toBe(503)
    expect((await edge.ask('/livez')).status).toBe(200)
  })

  test('counts the demonstration only where it is all there is', async () => {
    const alone = await edgeOf()
    const beside = await edgeOf(
      { ...config, gateway: { demo: true, discover: false } } as unknown as Parameters<typeof edgeOf>[0],
      { transport: network(new Set()) },
    )
    await beside.pass(12_000)

    expect((await alone.ask('/readyz')).status).toBe(200)
    expect((await beside.ask('/readyz')).status).toBe(503)
  })
})

describe('what is answered is what is documented', () => {
  const documented: readonly (readonly [string, z.ZodType])[] = [
    ['/health', healthReport],
    ['/v1/health', healthReport],
    ['/health/detailed', detailedHealthReport],
    ['/models/status', modelsStatus],
    ['/v1/providers', providerList],
    ['/v1/models', modelList],
    ['/v1/models/mixtral', modelEntry],
    ['/livez', liveness],
    ['/readyz', readiness],
    ['/', gatewayCard],
  ]

  test.each(documented)('%s, whether servers are up, down or unknown yet', async (path, schema) => {
    const fresh = await edgeOf(config as unknown as Parameters<typeof edgeOf>[0], { transport: network(new Set()) })

    for (const edge of [fresh, await probed('first.test', 'second.test'), await probed('first.test'), await probed()])
      expect(complaints(schema, (await read(edge, path)).body)).toEqual([])
  })
})

test.each([
  [true, 'healthy'],
  [false, 'unhealthy'],
])('with the demonstration alone (%p) the pages agree: %s', async (demo, expected) => {
  const edge = await edgeOf({ gateway: { demo, discover: false } })
  await edge.pass(1)

  const [plain, detailed, enterprise] = [
    await read(edge, '/health'),
    await read(edge, '/health/detailed'),
    await read(edge, '/health/enterprise'),
  ]

  expect([plain.body.status, detailed.body.status, enterprise.body.cluster_status]).toEqual([
    expected,
    expected,
    expected,
  ])
})

describe('while servers answer their probes and no model does, the pages agree:', () => {
  const gateway = { demo: false, discover: false }
  const answering = { id: 'first', kind: 'openai_compatible', base_url: 'http://first.test' } as const
  const watched = { id: 'watched', kind: 'service', base_url: 'http://watched.test' } as const
  const silent = { id: 'second', kind: 'openai_compatible', base_url: 'http://second.test' } as const
  const models = { chat: { targets: [{ server: 'first' }] } }
  const lost = { chat: { targets: [{ server: 'second' }] } }

  test.each([
    ['what is only watched is no model server', { gateway, servers: [watched, silent], models: lost }, false],
    ['a server without models', { gateway, servers: [answering] }, false],
    ['a server that is drained', { gateway, servers: [answering], models, auth: ADMINISTERED.auth }, true],
  ])('%s', async (_, input, drained) => {
    const edge = await edgeOf(input as unknown as Parameters<typeof edgeOf>[0], {
      transport: network(new Set(['first.test', 'watched.test'])),
    })
    await edge.pass(12_000)
    if (drained) await edge.ask('/orchestration/failover/first', { method: 'POST', headers: AS_ADMIN })

    const [plain, detailed, enterprise, ready] = [
      await read(edge, '/health'),
      await read(edge, '/health/detailed'),
      await read(edge, '/health/enterprise'),
      await read(edge, '/readyz'),
    ]

    expect([plain.status, plain.body.status, detailed.status, detailed.body.status]).toEqual([
      ...[503, 'unhealthy'],
      ...[503, 'unhealthy'],
    ])
    expect([enterprise.body.cluster_status, ready.body.status]).toEqual(['unhealthy', 'not_ready'])
  })
})
