import { describe, expect, test } from 'bun:test'
import type { ConfigInput } from '#config/schema.ts'
import { GatewayError } from '#core/errors.ts'
import { distribution, routePlan } from '#wire/routing.ts'
import { ADMINISTERED, AS_ADMIN, edgeOf, errorOf, makeKey } from './edge.ts'

const EXPLAIN = '/management/route/explain'
const DISTRIBUTE = '/orchestration/workload/distribute'

const FLEET: ConfigInput = {
  ...ADMINISTERED,
  servers: ['a', 'b', 'c'].map(id => ({ id, kind: 'openai_compatible', base_url: `http://${id}.test/v1` })),
  models: {
    chat: {
      targets: [
        { server: 'a', weight: 3, max_concurrent: 30 },
        { server: 'b', max_concurrent: 8 },
      ],
    },
    tools: { targets: [{ server: 'c' }], capabilities: { tools: true }, class: 'heavyweight' },
  },
}

async function setup() {
  const asked: string[] = []
  const edge = await edgeOf(FLEET, {
    transport: async ({ url }) => {
      asked.push(url)
      throw new Error('nobody is to be called')
    },
  })
  const ask = async (path: string, body: unknown, headers: Readonly<Record<string, string>> = AS_ADMIN) => {
    const response = await edge.ask(path, { method: 'POST', headers, body })
    return { status: response.status, body: await response.json() }
  }
  return { edge, asked, ask }
}

const request = { model: 'chat', messages: [{ role: 'user', content: 'Hi' }] }

describe('explaining a route', () => {
  test('tells the plan and calls nobody', async () => {
    const { ask, asked } = await setup()

    const plan = routePlan.parse((await ask(EXPLAIN, { request })).body)

    expect(plan).toMatchObject({ model: 'chat', strategy: 'weighted_round_robin', refusal: null, excluded: [] })
    expect(plan.candidates.map(({ server }) => server)).toEqual(['a', 'b'])
    expect(asked).toEqual([])
  })

  test('honours the server and the strategy that the call asks for', async () => {
    const { ask } = await setup()

    const { body } = await ask(EXPLAIN, { request, server: 'b', strategy: 'auto' })

    expect(body).toMatchObject({ strategy: 'auto', candidates: [{ server: 'b' }], excluded: [{ server: 'a' }] })
  })

  test('tells the refusal of a request that nobody can answer', async () => {
    const { ask } = await setup()

    const { status, body } = await ask(EXPLAIN, { request: { ...request, model: 'chta' } })

    expect(status).toBe(200)
    const refusal = { status: 404, code: 'model_not_found' }
    expect(routePlan.parse(body)).toMatchObject({ model: null, measure: null, refusal })
  })

  test('refuses a request that would not be accepted', async () => {
    const { edge } = await setup()
    const ask = (body: unknown) => edge.ask(EXPLAIN, { method: 'POST', headers: AS_ADMIN, body })

    expect(await errorOf(await ask({ request: { model: 'chat' } }))).toMatchObject({ param: 'messages' })
    expect((await ask({})).status).toBe(400)
    expect((await ask({ request, other: 1 })).status).toBe(400)
  })
})

describe('distributing a workload', () => {
  test('spreads it by the strategy, place by place', async () => {
    const { ask, asked } = await setup()

    const found = distribution.parse((await ask(DISTRIBUTE, { model: 'chat', requests: 12 })).body)

    expect(found.candidates.map(({ server, requests }) => [server, requests])).toEqual([
      ['a', 9],
      ['b', 3],
    ])
    expect(found).toMatchObject({ requests: 12, waiting: 0 })
    expect(asked).toEqual([])
  })

  test('counts those for which no place is free', async () => {
    const { ask } = await setup()

    const { body } = await ask(DISTRIBUTE, { model: 'chat', requests: 100 })

    expect(body).toMatchObject({ waiting: 62, candidates: [{ requests: 30, share: 0.3 }, { requests: 8 }] })
  })

  test('counts those that would be refused, because the servers that seem to be down take only a few', async () => {
    const servers = ['a', 'b', 'c', 'd']
    const edge = await edgeOf(
      {
        ...ADMINISTERED,
        servers: servers.map(id => ({ id, kind: 'openai_compatible', base_url: `http://${id}.test/v1` })),
        models: { chat: { targets: servers.map(server => ({ server, max_concurrent: 8 })) } },
      },
      {
        transport: async () => {
          throw new GatewayError('upstream_error', 'Nobody is there.')
        },
      },
    )
    await edge.pass(60_000)

    const response = await edge.ask(DISTRIBUTE, {
      method: 'POST',
      headers: AS_ADMIN,
      body: { model: 'chat', requests: 20 },
    })

    expect(response.status).toBe(200)
    expect(distribution.parse(await response.json())).toMatchObject({
      refusal: null,
      waiting: 12,
      candidates: servers.map(() => ({ status: 'unhealthy', requests: 2 })),
    })
  })

  test('changes nothing: the same is answered again', async () => {
    const { ask } = await setup()
    const described = { model: 'chat', requests: 7, strategy: 'affinity' }

    expect(await ask(DISTRIBUTE, described)).toEqual(await ask(DISTRIBUTE, described))
  })

  test('takes a workload as planners describe it, for the servers that they prefer', async () => {
    const { ask } = await setup()
    const described = {
      request_id: 'r-1',
      model_required: 'chat',
      priority: 'critical',
      estimated_complexity: 'high',
      client_info: { application: 'reports' },
      preferred_servers: ['nowhere', 'b'],
      requests: 12,
    }

    const { status, body } = await ask(DISTRIBUTE, described)

    expect(status).toBe(200)
    const found = distribution.parse(body)
    expect(found).toMatchObject({ request_id: 'r-1', model: 'chat', waiting: 0 })
    expect(found.candidates.map(({ server, requests }) => [server, requests])).toEqual([
      ['b', 8],
      ['a', 4],
    ])
  })

  test('prefers no server of another model to one of the model that is asked for', async () => {
    const edge = await edgeOf({
      ...FLEET,
      models: { ...FLEET.models, chat: { ...FLEET.models?.chat, fallbacks: ['tools'] } },
    })
    const described = { model: 'chat', preferred_servers: ['c'], requests: 4 }
    const response = await edge.ask(DISTRIBUTE, { method: 'POST', headers: AS_ADMIN, body: described })

    const found = distribution.parse(await response.json())
    expect(found.candidates.map(({ server }) => server)).toEqual(['a', 'b', 'c'])
  })

  test('lets everything else go on meanwhile', async () => {
    const { ask } = await setup()
    let turns = 0
    const count = () => {
      turns++
      next = setImmediate(count)
    }
    let next = setImmediate(count)

    const { body } = await ask(DISTRIBUTE, { model: 'tools', requests: 2000, strategy: 'cost' })
    clearImmediate(next)

    expect(body).toMatchObject({ requests: 2000 })
    expect(turns).toBeGreaterThan(100)
  })

  test('refuses what is no workload', async () => {
    const { ask } = await setup()

    for (const body of [{ requests: 0 }, { requests: 1e9 }, { prompt_tokens: -1 }, { words: 4 }]) {
      expect((await ask(DISTRIBUTE, body)).status).toBe(400)
    }
  })
})

test('both routes are for operators and administrators, not for viewers', async () => {
  const { edge, ask } = await setup()
  for (const role of ['viewer', 'operator']) {
    const { key } = await makeKey(edge, { role })
    const headers = { authorization: `Bearer ${key}` }
    const expected = role === 'operator' ? 200 : 403

    expect((await ask(EXPLAIN, { request }, headers)).status).toBe(expected)
    expect((await ask(DISTRIBUTE, {}, headers)).status).toBe(expected)
  }
})
