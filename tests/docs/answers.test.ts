import { afterAll, beforeAll, expect, test } from 'bun:test'
import { GatewayError, toErrorBody } from '#core/errors.ts'
import { operations } from '#http/docs/operations.ts'
import { createSseParser } from '#lib/sse.ts'
import { type LiveGateway, startLiveGateway } from '#tests/support/live-gateway.ts'
import { ADMIN_KEY, EXAMPLE_CONFIG } from './snippets.ts'

const READ = {
  listModels: '/v1/models',
  retrieveModel: '/v1/models/citadel-demo',
  listProviders: '/v1/providers',
  getModelsStatus: '/models/status',
  getHealth: '/health',
  getHealthDetailed: '/health/detailed',
  getEnterpriseHealth: '/health/enterprise',
  listServers: '/orchestration/servers/list',
  getServerHealth: '/orchestration/servers/demo/health',
  getLiveness: '/livez',
  getReadiness: '/readyz',
  getRoot: '/',
  getOpenapi: '/openapi.json',
  getConfigSchema: '/schema.json',
}
const CALLED = {
  createChatCompletion: '/v1/chat/completions',
  createCompletion: '/v1/completions',
  createEmbedding: '/v1/embeddings',
}

let gateway: LiveGateway

beforeAll(async () => {
  gateway = await startLiveGateway(EXAMPLE_CONFIG)
})
afterAll(() => gateway.stop())

for (const [id, path] of Object.entries(READ)) {
  test(`${path} answers as documented`, async () => {
    const response = await fetch(gateway.url + path)

    expect(response.status).toBe(200)
    expect(schemaOf(id, 'application/json').safeParse(await response.json()).error).toBeUndefined()
  })
}

test('/v1/requests/{id} answers as documented', async () => {
  const body = JSON.stringify({ model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] })
  const { headers } = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', body })

  const response = await fetch(`${gateway.url}/v1/requests/${headers.get('x-request-id')}`)

  expect(response.status).toBe(200)
  expect(schemaOf('getRequest', 'application/json').safeParse(await response.json()).error).toBeUndefined()
})

/** Asks as an administrator, and checks the answer against the schema of the operation. */
async function askFor(id: string, method: string, path: string, body?: unknown) {
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
    body: body === undefined ? null : JSON.stringify(body),
  })
  const answer = await response.json()
  expect(schemaOf(id, 'application/json', response.status).safeParse(answer).error, id).toBeUndefined()
  return answer
}

test('/orchestration answers as documented', async () => {
  const { registerServer, beatServer } = Object.fromEntries(operations)
  const example = (operation: typeof registerServer) => Object.values(operation?.body?.examples ?? {})[0]?.value

  await askFor('registerServer', 'POST', '/orchestration/servers/register', example(registerServer))
  await askFor('getServerHealth', 'GET', '/orchestration/servers/llm-02/health')
  await askFor('beatServer', 'POST', '/orchestration/servers/llm-02/heartbeat', example(beatServer))
  await askFor('drainServer', 'POST', '/orchestration/failover/llm-02')
  await askFor('recoverServer', 'POST', '/orchestration/recover/llm-02')
  await askFor('getEnterpriseHealth', 'GET', '/health/enterprise')
  await askFor('removeServer', 'DELETE', '/orchestration/servers/llm-02')
})

test('/management answers as documented', async () => {
  const ask = (id: string, method: string, path: string, body?: object) =>
    askFor(id, method, `/management/${path}`, body)

  const { id } = await ask('createKey', 'POST', 'keys', { name: 'web', expires_at: '2037-01-01T00:00:00+02:00' })
  await ask('showKey', 'GET', `keys/${id}`)
  await ask('updateKey', 'PATCH', `keys/${id}`, { budget: { usd: 1 } })
  await ask('rotateKey', 'POST', `keys/${id}/rotate`)
  await ask('revokeKey', 'DELETE', `keys/${id}`)
  await ask('listKeys', 'GET', 'keys')
  await ask('getStats', 'GET', 'stats')
  await ask('listManagedModels', 'GET', 'models/list')
  await ask('getServersStatus', 'GET', 'servers/status')
  await ask('getConfig', 'GET', 'config')
  await ask('reloadConfig', 'POST', 'config/reload')
})

for (const [id, path] of Object.entries({
  explainRoute: '/management/route/explain',
  distributeWorkload: '/orchestration/workload/distribute',
})) {
  for (const [name, { value }] of Object.entries(operations.get(id)?.body?.examples ?? {})) {
    test(`the example "${name}" of ${path} is answered as documented`, async () => {
      const response = await fetch(gateway.url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_KEY}` },
        body: JSON.stringify(value),
      })

      expect(response.status).toBe(200)
      expect(schemaOf(id, 'application/json').safeParse(await response.json()).error).toBeUndefined()
    })
  }
}

for (const [id, path] of Object.entries(CALLED)) {
  for (const [name, { value }] of Object.entries(operations.get(id)?.body?.examples ?? {})) {
    test(`the example "${name}" of ${path} is answered as documented`, async () => {
      const response = await fetch(gateway.url + path, { method: 'POST', body: JSON.stringify(value) })
      const [type = ''] = (response.headers.get('content-type') ?? '').split(';')

      const answers = type === 'text/event-stream' ? chunksOf(await response.text()) : [await response.json()]

      expect(response.status).toBe(200)
      expect(answers.length).toBeGreaterThan(0)
      for (const answer of answers) expect(schemaOf(id, type).safeParse(answer).error).toBeUndefined()
    })
  }
}

for (const id of ['createChatCompletion', 'createCompletion']) {
  test(`the error that ends a stream of ${id} is one of its events`, () => {
    const { error } = toErrorBody(new GatewayError('stream_interrupted', 'The model server broke off.'))
    const event = { error: { ...error, delivered_chars: 3 } }

    expect(schemaOf(id, 'text/event-stream').safeParse(event).error).toBeUndefined()
  })
}

function schemaOf(id: string, type: string, status = 200) {
  const content = operations.get(id)?.answers[status]?.content.find(each => each.type === type)
  if (content === undefined) throw new Error(`${id} documents no ${type}`)
  return content.events ?? content.schema
}

function chunksOf(text: string): unknown[] {
  const events = createSseParser().push(text)
  expect(events.at(-1)?.data).toBe('[DONE]')
  return events.slice(0, -1).map(({ data }) => JSON.parse(data))
}
