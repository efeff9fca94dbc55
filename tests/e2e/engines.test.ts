import { describe, expect, test } from 'bun:test'
import { parseExposition } from '#tests/support/exposition.ts'
import { startGateway, type TestGateway } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { until } from '#tests/support/until.ts'
import { json, type RecordedRequest, startUpstream, type Upstream } from '#tests/support/upstream.ts'
import { routePlan } from '#wire/routing.ts'

const ADMIN_KEY = 'sk-key-of-an-administrator'
const WITHIN_MS = 5000

/** An Ollama server that holds one model at a time, and has begun with this one. */
function startOllama(first: string | null): Promise<Upstream> {
  let loaded = first
  return startUpstream(request => {
    if (request.path === '/api/ps') return json(200, { models: loaded === null ? [] : [{ model: loaded }] })
    if (request.method === 'GET') return json(200, { version: '0.12.0', models: [] })
    const { model } = JSON.parse(request.body)
    loaded = model
    if (request.path === '/api/generate') return json(200, { model, done: true, done_reason: 'load' })
    return json(200, { model, message: { role: 'assistant', content: 'Hello.' }, done: true, done_reason: 'stop' })
  })
}

/** A server of the kind of vLLM that tells of so many calls. */
function startEngine(running: number): Promise<Upstream> {
  const script = openAiScript()
  const answer = typeof script === 'function' ? script : () => script
  return startUpstream(request => {
    if (request.path === '/metrics') {
      const body = `vllm:num_requests_running{engine="0"} ${running}.0\nvllm:num_requests_waiting{engine="0"} 0.0\n`
      return json(200, body)
    }
    if (request.method === 'GET') return json(200, { status: 'ok' })
    return answer(request)
  })
}

function gatewayFor(servers: readonly Upstream[], kind: string, algorithm: string, more: object = {}) {
  const ids = servers.map((_, index) => `s${index}`)
  return startGateway({
    auth: { mode: 'none', admin_keys: [ADMIN_KEY] },
    load_balancer: { algorithm, ...more },
    servers: servers.map(({ url }, index) => ({
      id: ids[index],
      kind,
      base_url: kind === 'ollama' ? url : `${url}/v1`,
    })),
    models: Object.fromEntries(['chat', 'other'].map(name => [name, { targets: ids.map(server => ({ server })) }])),
  })
}

async function planOf(gateway: TestGateway, model = 'chat') {
  const response = await fetch(`${gateway.url}/management/route/explain`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
    body: JSON.stringify({ request: { model, messages: [{ role: 'user', content: 'Hi' }] } }),
  })
  return routePlan.parse(await response.json())
}

async function metric(gateway: TestGateway, name: string): Promise<number> {
  let sum = 0
  for (const [series, value] of parseExposition((await gateway.gateway.metrics()).text)) {
    if (series.startsWith(`${name}{`)) sum += value
  }
  return sum
}

const calls = ({ requests }: Upstream) => requests.filter(({ path }: RecordedRequest) => path === '/api/chat').length

describe('resident', () => {
  test('sends calls where the model is in memory, and counts the loads that it spares', async () => {
    await using one = await startOllama('other')
    await using two = await startOllama('chat')
    await using gateway = await gatewayFor([one, two], 'ollama', 'resident')
    await until('a plan with what the engine told', WITHIN_MS, async () =>
      (await planOf(gateway)).candidates.some(({ score }) => Number(score) > 1000),
    )

    for (let each = 0; each < 5; each++) await (await gateway.chat()).text()

    expect([calls(one), calls(two)]).toEqual([0, 5])
    expect(await metric(gateway, 'gateway_model_loads_avoided_total')).toBe(5)
    expect(await metric(gateway, 'gateway_model_loads_total')).toBe(0)
  })

  test('learns from an answer that the model is loaded now, and from the server what made room for it', async () => {
    await using one = await startOllama('other')
    await using two = await startOllama('another')
    await using gateway = await gatewayFor([one, two], 'ollama', 'resident')
    await until('a plan with what the engine told', WITHIN_MS, async () =>
      (await planOf(gateway)).candidates.every(({ score }) => Number(score) > 1000),
    )

    for (let each = 0; each < 4; each++) await (await gateway.chat()).text()

    expect([calls(one), calls(two)].sort()).toEqual([0, 4])
    expect(await metric(gateway, 'gateway_model_loads_total')).toBe(1)
  })

  test('loads the models of preload at the start, one on each server', async () => {
    await using one = await startOllama(null)
    await using two = await startOllama(null)
    await using gateway = await gatewayFor([one, two], 'ollama', 'resident', { preload: ['chat', 'other'] })

    await Promise.all([
      gateway.logged({ detail: 'chat was loaded on s0' }),
      gateway.logged({ detail: 'other was loaded on s1' }),
    ])

    const loads = [one, two].map(({ requests }) => requests.filter(({ path }) => path === '/api/generate').length)
    expect(loads).toEqual([1, 1])
  })
})

describe('least_busy', () => {
  test('sees the calls that others have at a server', async () => {
    await using busy = await startEngine(7)
    await using idle = await startEngine(0)
    await using gateway = await gatewayFor([busy, idle], 'openai_compatible', 'least_busy')
    await until('a plan with what the engine told', WITHIN_MS, async () =>
      (await planOf(gateway)).candidates.some(({ score }) => score === 7),
    )

    const servers = new Set<string | null>()
    for (let each = 0; each < 10; each++) servers.add((await gateway.chat()).headers.get('x-citadel-server'))

    expect([...servers]).toEqual(['s1'])
  })

  test('asks nobody for figures under a strategy that does not look at them', async () => {
    await using one = await startEngine(7)
    await using gateway = await gatewayFor([one], 'openai_compatible', 'round_robin')
    await one.received(1)
    await (await gateway.chat()).text()

    expect(one.requests.filter(({ path }) => path === '/metrics')).toEqual([])
  })
})

test.each(['latency', 'cost', 'affinity', 'resident', 'auto'])('x-citadel-strategy: %s is taken', async strategy => {
  await using one = await startEngine(0)
  await using two = await startEngine(0)
  await using gateway = await gatewayFor([one, two], 'openai_compatible', 'round_robin')

  const response = await gateway.chat({}, { headers: { 'x-citadel-strategy': strategy } })

  expect(response.status).toBe(200)
})
