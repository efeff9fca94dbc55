import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { configJsonSchema } from '#config/json-schema.ts'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { configFrom } from '#src/index.ts'
import {
  type ModelServer,
  startGateway,
  startModelServer,
  type TestGateway,
  type Tree,
} from '#tests/support/gateway.ts'
import { chatCompletion } from '#tests/support/openai-upstream.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { json, type RecordedRequest, type Steps, sse } from '#tests/support/upstream.ts'

/** A secret for each place of a configuration that can hold one, by the place as the schema calls it. */
const PLANTED = {
  'service.secret': 'canary-service',
  'servers[].api_key': 'canary-server-key',
  'servers[].api_keys[]': 'canary-server-keys',
  'servers[].headers.*': 'canary-server-header',
  'servers[].proxy': 'http://user:canary-proxy@127.0.0.1:9',
  'auth.keys[].key': 'canary-key',
  'auth.keys[].signing_secret': 'canary-signing',
  'auth.admin_keys[]': 'canary-admin',
  'auth.jwt.secret': 'canary-token-secret-of-32-characters',
  'orchestration.credentials.*': 'canary-credential',
  'orchestration.register_with[].api_key': 'canary-gateway-above',
  'webhooks.secrets.*': 'canary-webhook-in',
  'webhooks.deliver[].secret': 'canary-webhook-out',
} as const
/** Addresses that may hold a password; one is written with an escape. */
const PASSWORDS = { redis: 'canary-redis', database: 'canary-%64atabase', vectors: 'canary-vectors' } as const
/** Whatever a server, or a log, might say of them. */
const CANARY = /canary-[a-z%0-9]+[a-z0-9-]*/g

function configWith(url: string): Tree {
  return {
    service: { secret: PLANTED['service.secret'] },
    servers: [
      {
        id: 'a',
        kind: 'openai_compatible',
        base_url: url,
        api_key: PLANTED['servers[].api_key'],
        headers: { 'x-secret': PLANTED['servers[].headers.*'] },
      },
      { id: 'b', kind: 'openai_compatible', base_url: url, api_keys: [PLANTED['servers[].api_keys[]']] },
      {
        ...{ id: 'down', kind: 'openai_compatible', base_url: 'http://127.0.0.1:9', api_key: 'canary-down' },
        proxy: PLANTED['servers[].proxy'],
      },
    ],
    models: Object.fromEntries(
      [...Object.keys(ANSWERS), 'down'].map(name => [
        name,
        { targets: name === 'down' ? [{ server: 'down' }] : [{ server: 'a' }, { server: 'b' }] },
      ]),
    ),
    auth: {
      mode: 'required',
      keys: [
        { name: 'app', key: PLANTED['auth.keys[].key'], role: 'viewer' },
        {
          name: 'partner',
          key: 'canary-partner',
          signing_secret: PLANTED['auth.keys[].signing_secret'],
        },
      ],
      admin_keys: [PLANTED['auth.admin_keys[]']],
      jwt: { issuer: 'idp', audience: 'citadel', algorithms: ['HS256'], secret: PLANTED['auth.jwt.secret'] },
    },
    redis: { url: `redis://user:${PASSWORDS.redis}@127.0.0.1:9` },
    database: { url: `postgres://user:${PASSWORDS.database}@127.0.0.1:9/citadel` },
    vectors: { url: `http://user:${PASSWORDS.vectors}@127.0.0.1:9` },
    webhooks: {
      secrets: { server_status: PLANTED['webhooks.secrets.*'] },
      deliver: [{ url: 'https://hooks.test', secret: PLANTED['webhooks.deliver[].secret'] }],
    },
    orchestration: {
      credentials: { gpu: PLANTED['orchestration.credentials.*'] },
      register_with: [{ url: 'http://127.0.0.1:9', api_key: PLANTED['orchestration.register_with[].api_key'] }],
    },
    retry: { max_attempts: 2, backoff_base: '1ms', backoff_max: '2ms' },
    monitoring: { log_level: 'debug' },
  }
}

/** How a server answers that tells everybody what it was sent: each in its own way of failing. */
const ANSWERS: Readonly<Record<string, (told: string) => Steps>> = {
  good: () => json(200, chatCompletion('m')),
  unauthorised: told =>
    json(401, { error: { message: `Incorrect API key provided: ${told}`, code: 'invalid_api_key' } }),
  forbidden: told => json(403, { error: { message: `No access: ${told}`, code: told } }),
  wrong: told => json(400, { error: { message: `Bad: ${told}`, type: told, param: told, code: told } }),
  missing: told => json(404, { error: { message: `Model not found for ${told}`, code: 'model_not_found' } }),
  limited: told =>
    json(429, { error: { message: `Rate limit of ${told}`, code: 'rate_limit_exceeded' } }, { 'x-told': told }),
  broken: told => json(500, { error: { message: `Failed: ${told}` } }),
  event: told => sse([{ error: { message: `Bad: ${told}`, type: 'invalid_request_error', code: 400, param: told } }]),
  inside: told => json(200, { error: { message: `Bad: ${told}`, type: 'invalid_request_error', code: 400 } }),
  page: told => json(200, `<html>${told}</html>`, { 'content-type': 'text/html' }),
}

function tell(request: RecordedRequest): Steps {
  const { model } = request.json() as { readonly model: string }
  const told = `${request.headers.authorization} ${request.headers['x-secret'] ?? ''}`
  return (ANSWERS[model] ?? ANSWERS.good ?? (() => []))(told)
}

let server: ModelServer
let gateway: TestGateway

beforeAll(async () => {
  server = await startModelServer(tell)
  gateway = await startGateway(configWith(server.url))
})
afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await server.close()
})

/** Everything of an answer that a caller can see. */
async function seenIn(response: Response): Promise<string> {
  return `${[...response.headers].join('\n')}\n${await response.text()}`
}

/** The same of an answer without end: its first words. */
async function begunIn(response: Response): Promise<string> {
  const reader = response.body?.getReader()
  const first = await reader?.read()
  await reader?.cancel()
  return `${[...response.headers].join('\n')}\n${new TextDecoder().decode(first?.value)}`
}

const callers = {
  nobody: {},
  app: { authorization: `Bearer ${PLANTED['auth.keys[].key']}` },
  partner: { authorization: 'Bearer canary-partner' },
  admin: { 'x-api-key': PLANTED['auth.admin_keys[]'] },
  guess: { authorization: 'Bearer canary-guess' },
  token: { authorization: 'Bearer canary-.canary-.canary-' },
} satisfies Readonly<Record<string, Readonly<Record<string, string>>>>

test('a secret is planted in every place that the schema marks', () => {
  expect(placesOf(configJsonSchema() as SchemaNode, '').toSorted()).toEqual(Object.keys(PLANTED).toSorted())
})

describe('no secret appears', () => {
  for (const [name, headers] of Object.entries(callers)) {
    test(`in what any route answers to ${name}`, async () => {
      const routes = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)
      const seen: string[] = []
      for (const { method, path } of routes) {
        const url = gateway.url + path.replace(/:\w+(?:\{[^}]*\})?/, 'good')
        const response = await fetch(url, { method, headers, body: method === 'GET' ? null : '{' })
        // Events go on without end.
        const endless = response.headers.get('content-type')?.startsWith('text/event-stream') === true
        seen.push(endless ? await begunIn(response) : await seenIn(response))
      }

      expect(seen.length).toBeGreaterThan(10)
      expect(seen.join('\n').match(CANARY)).toBeNull()
    })
  }

  for (const model of [...Object.keys(ANSWERS), 'down', 'unknown']) {
    for (const stream of [false, true]) {
      test(`when the model is ${model}${stream ? ' and streams' : ''}, nor in the report of that request`, async () => {
        const response = await gateway.chat({ model, stream }, { headers: callers.app })
        const id = response.headers.get('x-request-id') ?? ''
        const seen = await seenIn(response)
        const report = await fetch(`${gateway.url}/v1/requests/${id}`, { headers: callers.app })

        expect(seen.match(CANARY)).toBeNull()
        expect(report.status).toBe(200)
        expect((await seenIn(report)).match(CANARY)).toBeNull()
      })
    }
  }

  test('in the log, whatever is written to it', async () => {
    const all = [
      ...Object.values(PLANTED),
      ...Object.values(PASSWORDS),
      ...Object.values(PASSWORDS).map(decodeURIComponent),
    ]
    for (const [index, secret] of all.entries()) {
      await fetch(`${gateway.url}/gone/${secret}?key=${secret}`, { headers: { 'x-request-id': secret } })
      gateway.gateway.warn(`a warning with ${secret}`)
      gateway.gateway.fail(`failure ${index}`, new Error(`of ${secret}`, { cause: secret }))
      gateway.gateway.reloadFailed(`because of ${secret}`)
    }
    await gateway.logged({ message: `failure ${all.length - 1}` })

    const text = gateway.lines.map(line => JSON.stringify(line)).join('\n')
    // What a stranger invents is no secret of the configuration.
    expect(text.replaceAll('canary-guess', '').match(CANARY)).toBeNull()
    expect(text).toContain('[redacted]')
  })

  test('in the metrics', async () => {
    const { text } = await gateway.gateway.metrics()

    expect(text.match(CANARY)).toBeNull()
  })

  test('in the database, its spool and its backups, not even of keys that are made', async () => {
    const folder = await ownFolder('citadel-canary-')
    const config = { ...configWith(server.url), redis: {}, database: {} }
    const service = { secret: PLANTED['service.secret'], data_dir: folder.path }
    let made: { readonly id: string; readonly key: string }
    {
      await using kept = await startGateway({ ...config, service, audit: { payloads: true } })
      const asAdmin = { headers: callers.admin }
      const body = JSON.stringify({ name: 'made', role: 'admin' })
      made = await (await fetch(`${kept.url}/management/keys`, { ...asAdmin, method: 'POST', body })).json()
      for (const model of [...Object.keys(ANSWERS), 'down']) {
        for (const stream of [false, true]) await (await kept.chat({ model, stream }, { headers: callers.app })).text()
      }
      for (const headers of Object.values(callers)) await (await kept.chat({ model: 'good' }, { headers })).text()
      const again = { headers: { authorization: `Bearer ${made.key}` } }
      await (await kept.chat({ model: 'good', user: made.key, metadata: { key: made.key } }, again)).text()
      kept.gateway.reloadFailed(`because of ${Object.values(PLANTED).join(' ')}`)
    }
    const written = await Promise.all(
      [...new Bun.Glob('**').scanSync(folder.path)].map(file => Bun.file(join(folder.path, file)).bytes()),
    )
    const text = written.map(bytes => new TextDecoder('latin1').decode(bytes)).join('\n')
    const audit = new Database(join(folder.path, 'citadel.db'), { readonly: true })
    const rows = JSON.stringify(audit.query('SELECT * FROM audit').all())
    audit.close()
    await folder.remove()

    expect(text).toContain(made.id)
    expect(rows).toContain('payload')
    expect(text.match(CANARY)).toBeNull()
    expect(rows).not.toContain(made.key)
  })

  test('of a configuration that was read again', async () => {
    gateway.gateway.reload(configFrom({ ...configWith(server.url), service: { secret: 'canary-later' } }))
    gateway.gateway.fail('after', new Error('canary-later'))

    expect(JSON.stringify(await gateway.logged({ message: 'after' }))).not.toContain('canary')
  })
})

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly additionalProperties?: SchemaNode | boolean
  readonly anyOf?: readonly SchemaNode[]
  readonly 'x-secret'?: boolean
}

/** Every place that the schema marks as secret. */
function placesOf(node: SchemaNode, path: string): string[] {
  const { properties = {}, items, additionalProperties: rest, anyOf = [] } = node
  return [
    ...(node['x-secret'] === true ? [path] : []),
    ...Object.entries(properties).flatMap(([key, child]) => placesOf(child, path === '' ? key : `${path}.${key}`)),
    ...(items === undefined ? [] : placesOf(items, `${path}[]`)),
    ...(typeof rest === 'object' ? placesOf(rest, `${path}.*`) : []),
    ...anyOf.flatMap(child => placesOf(child, path)),
  ]
}
