import { expect, setDefaultTimeout, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import type { ConfigInput } from '#config/schema.ts'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { signWebhook } from '#lib/standard-webhooks.ts'
import { startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { auditPage } from '#wire/audit.ts'

setDefaultTimeout(30_000)

const [ADMIN, SECRET] = ['gw-admin-0123456789abcdef', 'a secret of the webhooks']
const SERVER = { id: 'llm-02', hostname: '127.0.0.1', port: 9, models: ['m'] }

/** What is sent, and the rows that it leaves: kind, action, outcome, who did it, to what. */
interface Action {
  readonly path: string | ((ids: { readonly key: string }) => string)
  readonly body?: object
  readonly rows: readonly (readonly [kind: string, action: string, outcome: string, subject: string])[]
}

/** Everything that changes something for all, by the name of its operation; in the order in which it is done. */
const ACTIONS: Readonly<Record<string, Action>> = {
  createKey: {
    path: '/management/keys',
    body: { name: 'made' },
    rows: [['administration', 'key-created', 'ok', 'KEY']],
  },
  updateKey: {
    path: ({ key }) => `/management/keys/${key}`,
    body: { name: 'renamed' },
    rows: [['administration', 'key-updated', 'ok', 'KEY']],
  },
  rotateKey: {
    path: ({ key }) => `/management/keys/${key}/rotate`,
    body: {},
    rows: [['administration', 'key-rotated', 'ok', 'KEY']],
  },
  revokeKey: {
    path: ({ key }) => `/management/keys/${key}`,
    rows: [['administration', 'key-revoked', 'ok', 'KEY']],
  },
  clearCache: { path: '/management/cache/clear', rows: [['administration', 'cache-cleared', 'ok', '{}']] },
  reloadConfig: {
    path: '/management/config/reload',
    rows: [
      ['administration', 'config-reloaded', 'ok', 'null'],
      ['administration', 'reload-requested', 'ok', 'configuration'],
    ],
  },
  registerServer: {
    path: '/orchestration/servers/register',
    body: { server_info: SERVER },
    rows: [['administration', 'server-registered', 'ok', 'llm-02']],
  },
  drainServer: {
    path: '/orchestration/failover/llm-02',
    rows: [['administration', 'server-drained', 'ok', 'llm-02']],
  },
  recoverServer: {
    path: '/orchestration/recover/llm-02',
    rows: [['administration', 'server-recovered', 'ok', 'llm-02']],
  },
  takeAlerts: {
    path: '/webhooks/alertmanager',
    body: { version: '4', status: 'firing', alerts: [] },
    rows: [['administration', 'webhook-received', 'ok', 'alertmanager']],
  },
  takeServerStatus: {
    path: '/webhooks/server_status',
    body: { server_id: 'llm-02', status: 'degraded' },
    rows: [['administration', 'webhook-received', 'ok', 'server_status']],
  },
  takeWebhook: { path: '/webhooks/deploy', body: {}, rows: [['administration', 'webhook-received', 'ok', 'deploy']] },
  removeServer: {
    path: '/orchestration/servers/llm-02',
    rows: [['administration', 'server-departed', 'removed', 'llm-02']],
  },
}

const ROUTES = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)
const ADMINISTERS = ROUTES.filter(
  ({ access, method, quiet }) => /operator|admin|signed/.test(access) && method !== 'GET' && !quiet,
)

async function send({ url }: TestGateway, method: string, path: string, body?: object): Promise<Response> {
  const text = body === undefined ? null : JSON.stringify(body)
  const [id, seconds] = [crypto.randomUUID(), Math.floor(Date.now() / 1000)]
  const headers: Record<string, string> = path.startsWith('/webhooks')
    ? {
        'webhook-id': id,
        'webhook-timestamp': `${seconds}`,
        'webhook-signature': signWebhook(SECRET, { id, seconds, body: text ?? '' }),
      }
    : { authorization: `Bearer ${ADMIN}` }
  return fetch(url + path, { method, headers, body: text })
}

/** The rows of the audit log in the order of its chain, once they are all there. */
async function rowsOf(gateway: TestGateway, isWhole: (rows: Rows) => boolean): Promise<Rows> {
  const endsAt = performance.now() + 10_000
  while (true) {
    const response = await send(gateway, 'GET', '/management/audit?tenant=*&limit=1000')
    const rows = auditPage.parse(await response.json()).data.toSorted((one, other) => one.seq - other.seq)
    if (isWhole(rows) || performance.now() > endsAt) return rows
    await Bun.sleep(20)
  }
}

type Rows = ReturnType<typeof auditPage.parse>['data']

async function withAudit(run: (gateway: TestGateway) => Promise<void>): Promise<void> {
  const folder = await ownFolder('citadel-audited-')
  await using server = await startModelServer(openAiScript())
  {
    const input: ConfigInput = {
      gateway: { discover: false },
      limits: { enabled: false },
      servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }],
      models: { chat: { targets: [{ server: 'a', model: 'test-model' }] } },
      service: { data_dir: folder.path },
      auth: { admin_keys: [ADMIN], failures_per_minute: 3 },
      orchestration: { allowed_addresses: ['127.0.0.0/8'] },
      webhooks: { secrets: { alertmanager: SECRET, server_status: SECRET, deploy: SECRET } },
    }
    const reload = async () => {
      gateway.gateway.reload(configFrom(input))
      return { warnings: [], restart: [] }
    }
    await using gateway: TestGateway = await startGateway({ ...input }, { reload })
    await run(gateway)
  }
  await folder.remove()
}

test('the table has every route that administers something', () => {
  expect(Object.keys(ACTIONS).toSorted()).toEqual(ADMINISTERS.map(({ operation }) => operation ?? '').toSorted())
})

test('each action of an administrator has its row', () =>
  withAudit(async gateway => {
    let key = ''
    for (const [operation, { path, body }] of Object.entries(ACTIONS)) {
      const method = ADMINISTERS.find(route => route.operation === operation)?.method ?? ''
      const answer = await send(gateway, method, typeof path === 'string' ? path : path({ key }), body)
      expect(answer.status, operation).toBeLessThan(300)
      const { id } = await answer.json()
      if (operation === 'createKey') key = id
    }
    const expected = Object.values(ACTIONS).flatMap(({ rows }) => rows)

    const rows = await rowsOf(gateway, all => all.some(({ action }) => action === 'server-departed'))

    const told = rows.filter(({ kind }) => kind === 'administration')
    expect(told.map(({ kind, action, outcome, subject }) => [kind, action, outcome, `${subject}`])).toEqual(
      expected.map(([kind, action, outcome, subject]) => [kind, action, outcome, subject.replace('KEY', key)]),
    )
    const actors = new Set(
      told.filter(({ action }) => !/webhook|config-reloaded/.test(action)).map(({ actor }) => actor),
    )
    expect(actors).toEqual(new Set(['admin']))
  }))

test('so has each one that was refused or went wrong, and an address that has to wait', () =>
  withAudit(async gateway => {
    await send(gateway, 'POST', '/management/keys', { name: '' })
    await send(gateway, 'DELETE', '/management/keys/none')
    await send(gateway, 'POST', '/orchestration/failover/none')
    await fetch(`${gateway.url}/webhooks/deploy`, { method: 'POST', body: '{}' })
    for (let guess = 0; guess < 4; guess++) {
      await gateway.chat({}, { headers: { authorization: `Bearer sk-guess-${guess}` } })
    }

    const rows = await rowsOf(gateway, all => all.some(({ kind }) => kind === 'limit'))
    const { text } = await gateway.gateway.metrics()

    const told = rows.map(({ kind, outcome, subject, code }) => `${kind} ${outcome} ${subject} ${code}`)
    expect(told).toContain('administration refused POST /management/keys invalid_request')
    expect(told).toContain('administration refused DELETE /management/keys/:id not_found')
    expect(told).toContain('administration refused POST /orchestration/failover/:id not_found')
    expect(told).toContain('authentication refused POST /webhooks/:type invalid_signature')
    expect(told.filter(row => row.startsWith('authentication refused POST /v1/chat'))).toHaveLength(3)
    expect(rows.find(({ kind }) => kind === 'limit')).toMatchObject({
      address: '127.0.0.1',
      code: 'rate_limit_exceeded',
    })
    expect(text).toContain('gateway_rate_limited_total{scope="failures"} ')
  }))

test('prompts and answers that are to be kept are kept, also where only a reload has said so', async () => {
  await using cleanup = new AsyncDisposableStack()
  const folder = await ownFolder('citadel-audited-')
  cleanup.defer(folder.remove)
  const configured = (payloads: boolean): ConfigInput => ({
    auth: { mode: 'none', admin_keys: [ADMIN] },
    gateway: { discover: false, demo: true },
    audit: { payloads },
  })
  await using gateway = await startGateway({ ...configured(false) }, { env: { HOME: folder.path } })
  const payloads = async () => {
    const headers = { authorization: `Bearer ${ADMIN}` }
    const answer = await fetch(`${gateway.url}/management/audit?tenant=*&kind=payload`, { headers })
    return JSON.stringify(auditPage.parse(await answer.json()))
  }
  const ask = (prompt: string) =>
    gateway.chat({ model: 'citadel-demo', messages: [{ role: 'user', content: prompt }] }).then(answer => answer.text())

  await ask('canary-one')
  gateway.gateway.reload(configFrom(configured(true)))
  await ask('canary-two')
  await until('the prompt is kept', 10_000, async () => (await payloads()).includes('canary-two'))

  expect(await payloads()).not.toContain('canary-one')
})
