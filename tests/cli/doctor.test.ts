import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chown, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { SQL } from 'bun'
import { migrateSql } from '#stores/sql-client.ts'
import { run, start } from '#tests/e2e/child.ts'
import { type Certificates, makeCertificates } from '#tests/support/certificates.ts'
import { type Issuer, makeKey, startIssuer } from '#tests/support/issuer.ts'
import { ollamaStream, ollamaTags } from '#tests/support/ollama-upstream.ts'
import { chatCompletion, chatEvents, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { type Postgres, startPostgres } from '#tests/support/postgres.ts'
import { type Redis, type RedisCluster, startRedis, startRedisCluster } from '#tests/support/redis.ts'
import { freePort, ownFolder } from '#tests/support/server-process.ts'
import {
  hang,
  html,
  json,
  type RecordedRequest,
  type Steps,
  sse,
  startUpstream,
  type Upstream,
} from '#tests/support/upstream.ts'

setDefaultTimeout(60_000)

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname
const TOOL_CALL = { id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Lisbon"}' } }
const usual = openAiScript({ models: ['good', 'text-embed'] })

/** A server that does all that is asked of it, but for what a test says first. */
function serverWith(differs: (request: RecordedRequest, body: string) => Steps | null = () => null): Promise<Upstream> {
  return startUpstream(request => {
    const different = differs(request, request.body)
    if (different !== null) return different
    if (request.body.includes('"tools"')) {
      const message = { role: 'assistant', content: null, tool_calls: [TOOL_CALL] }
      return json(200, { ...chatCompletion('good'), choices: [{ index: 0, message, finish_reason: 'tool_calls' }] })
    }
    return typeof usual === 'function' ? usual(request) : usual
  })
}

const isStream = ({ body }: RecordedRequest) => body.includes('"stream":true')
const isList = ({ path }: RecordedRequest) => path.endsWith('/models')

interface Report {
  readonly failed: number
  readonly findings: readonly {
    readonly check: string
    readonly subject: string | null
    readonly status: string
    readonly detail: string
    readonly remedy: string | null
  }[]
}

/** Runs the doctor on a configuration, with a free port and a place for its data. */
async function examine(
  configuration: string,
  options: { readonly env?: Record<string, string>; readonly port?: number; readonly more?: readonly string[] } = {},
) {
  const files = { 'gateway.yaml': configuration }
  const port = options.port ?? (await freePort())
  await using child = await run(
    ['doctor', '-c', 'gateway.yaml', '--json', '--timeout', '2s', '--port', `${port}`, ...(options.more ?? [])],
    { files, env: options.env },
  )
  const status = await child.exited
  const text = child.out()
  const report: Report = JSON.parse(text === '' ? '{"findings":[]}' : text)
  return {
    status,
    text,
    err: child.err(),
    report,
    worst: report.findings.filter(each => each.status === 'failed' || each.status === 'warning'),
  }
}

const oneServer = (url: string, more = '', models = 'models: { chat: { targets: [{ server: one, model: good }] } }') =>
  `servers: [{ id: one, kind: openai_compatible, base_url: "${url}/v1"${more} }]\n${models}\n`

describe('a sound setup', () => {
  test('is told so, with what was measured', async () => {
    await using server = await serverWith()
    const models =
      'models: { chat: { targets: [{ server: one, model: good }] }, vectors: { class: embedding, targets: [{ server: one, model: text-embed }] } }'

    const { status, report } = await examine(oneServer(server.url, '', models))

    expect(report.findings.map(({ check, status }) => `${check} ${status}`)).toEqual([
      'configuration ok',
      'versions ok',
      'file limit ok',
      'port ok',
      'data folder ok',
      'redis skipped',
      'database ok',
      'vectors skipped',
      'server ok',
      'stream ok',
      'usage ok',
      'tools ok',
      'embeddings ok',
    ])
    expect(status).toBe(0)
  })

  test('may be of another kind, whose models have tags and tell of themselves elsewhere', async () => {
    await using server = await startUpstream(({ path }) => {
      if (path === '/api/chat') return ollamaStream('tiny:latest', 'ready')
      if (path === '/api/show') return json(200, { capabilities: ['completion'], model_info: {} })
      if (path === '/api/ps') return json(200, { models: [] })
      return json(200, ollamaTags('tiny:latest'))
    })
    const configuration = `servers: [{ id: one, kind: ollama, base_url: "${server.url}" }]\nmodels: { chat: { targets: [{ server: one, model: tiny }] } }\n`

    const { status, report } = await examine(configuration)

    expect(report.findings.slice(-4).map(({ check, status }) => `${check} ${status}`)).toEqual([
      'server ok',
      'stream ok',
      'usage ok',
      'tools skipped',
    ])
    expect(status).toBe(0)
  })

  test('costs nothing with --no-calls', async () => {
    await using server = await serverWith()

    await examine(oneServer(server.url), { more: ['--no-calls'] })

    expect(server.requests.map(({ path }) => path)).toEqual(['/v1/models'])
  })

  test('that runs already has its port', async () => {
    await using server = await startUpstream(json(401, { error: {} }, { 'x-request-id': '1' }))

    const { report } = await examine('gateway: { discover: false }\n', { port: server.port })

    expect(report.findings.find(({ check }) => check === 'port')).toMatchObject({ status: 'ok' })
  })

  test('that runs already has its ports, with https and metrics on one of their own', async () => {
    await using certificates = await makeCertificates()
    const { cert, key } = await certificates.issue('gateway.example')
    const metrics = await freePort()
    const text = `gateway: { discover: false, demo: true }
service: { tls: { cert_file: ${cert}, key_file: ${key} } }
monitoring: { prometheus_port: ${metrics} }
`
    await using running = await start(text)

    const { report } = await examine(text, { port: Number(new URL(running.url).port), more: ['--no-calls'] })
    const ports = report.findings.filter(({ check }) => check === 'port' || check === 'metrics port')

    expect(ports.map(({ status, detail }) => `${status} ${detail}`)).toEqual([
      expect.stringMatching(/^ok a gateway listens on/),
      `ok a gateway listens on 127.0.0.1:${metrics}`,
    ])
  })

  test('whose port for metrics another program has is told which setting that is', async () => {
    await using server = await startUpstream(json(200, {}))
    const text = `gateway: { discover: false, demo: true }\nmonitoring: { prometheus_port: ${server.port} }\n`

    const { worst } = await examine(text, { more: ['--no-calls'] })

    expect(worst.find(({ check }) => check === 'metrics port')).toMatchObject({
      status: 'failed',
      remedy: expect.stringContaining('monitoring.prometheus_port'),
    })
  })

  test('is shown in words, without its secrets', async () => {
    await using server = await serverWith(request =>
      isList(request) ? openAiError(401, 'Incorrect key sk-secret-of-the-server', 'invalid_api_key') : null,
    )
    const files = {
      'gateway.yaml': `${oneServer(server.url, ', api_key: sk-secret-of-the-server')}redis: { url: "redis://:geheim-wort@127.0.0.1:1" }\n`,
    }
    await using child = await run(['doctor', '-c', 'gateway.yaml', '--port', `${await freePort()}`], { files })

    expect(await child.exited).toBe(1)
    expect(child.out()).toMatch(/^failed {3}server one: .*it refuses the key \(HTTP 401.*\n {9}→ Correct api_key/m)
    expect(child.out()).toMatch(/^2 failed, 0 warnings$/m)
    expect(child.out()).not.toMatch(/sk-secret|geheim/)
  })
})

describe('a server', () => {
  const rows: readonly (readonly [
    fault: string,
    check: string,
    differs: (request: RecordedRequest) => Steps | null,
    detail: RegExp,
    remedy: RegExp,
  ])[] = [
    ['that refuses the key', 'server', () => openAiError(401, 'No.', 'invalid_api_key'), /refuses the key/, /api_key/],
    ['that answers with a web page', 'server', () => html(), /no answer of a model server.*web page/, /base_url/],
    [
      'that lists without JSON',
      'server',
      request => (isList(request) ? json(200, 'hello') : null),
      /no answer of a model server/,
      /base_url/,
    ],
    ['that says nothing', 'server', () => hang(), /it says nothing/, /busy/],
    ['that fails', 'server', request => (isList(request) ? json(500, {}) : null), /HTTP 500/, /log/],
    [
      'without the model',
      'model',
      request => (isList(request) ? json(200, { object: 'list', data: [{ id: 'goood', object: 'model' }] }) : null),
      /does not have it; it has goood/,
      /Write goood/,
    ],
    [
      'of another kind, with the model in its list',
      'stream',
      request => (isStream(request) ? openAiError(404, 'no such path', null) : null),
      /lists the model, .*\(HTTP 404/,
      /kind/,
    ],
    [
      'of another kind, whose list is taken for an empty one',
      'model',
      request => (isList(request) ? json(200, { object: 'list', data: [] }) : null),
      /it has none/,
      /kind/,
    ],
    [
      'without a list',
      'server',
      request => (isList(request) ? json(404, {}) : null),
      /lists no models/,
      /Name its models.*kind/,
    ],
    [
      'whose streams never start',
      'stream',
      request => (isStream(request) ? hang() : null),
      /it says nothing/,
      /first_byte/,
    ],
    [
      'whose streams stop',
      'stream',
      request => (isStream(request) ? sse([...chatEvents('good').slice(0, 2), hang()]) : null),
      /falls silent|says nothing/,
      /timeouts\.|loads/,
    ],
    [
      'whose streams are web pages',
      'stream',
      request => (isStream(request) ? html() : null),
      /no answer of a model server/,
      /base_url/,
    ],
    [
      'that counts no tokens',
      'usage',
      request => (isStream(request) ? sse(chatEvents('good')) : null),
      /does not count/,
      /estimates/,
    ],
    [
      'that calls no tool',
      'tools',
      request => (request.body.includes('"tools"') ? json(200, chatCompletion('good')) : null),
      /text instead of calling a tool/,
      /tools: false/,
    ],
    [
      'that refuses tools',
      'tools',
      request => (request.body.includes('"tools"') ? openAiError(400, 'tools are not supported', null) : null),
      /refuses tools/,
      /--enable-auto-tool-choice/,
    ],
    [
      'that has no credit',
      'stream',
      request => (isStream(request) ? openAiError(429, 'You exceeded your quota', 'insufficient_quota') : null),
      /no credit/,
      /Pay/,
    ],
  ]

  test.each(rows)('%s', async (_, check, differs, detail, remedy) => {
    await using server = await serverWith(differs)

    const { worst } = await examine(
      oneServer(server.url, ', timeouts: { first_byte: 500ms, first_token: 500ms, idle: 500ms }'),
    )

    expect(worst).toHaveLength(1)
    expect(worst[0]).toMatchObject({
      check,
      detail: expect.stringMatching(detail),
      remedy: expect.stringMatching(remedy),
    })
  })

  test('that makes no vectors for an embedding model is reported, with what to do', async () => {
    await using server = await serverWith(request =>
      request.path.endsWith('/embeddings') ? openAiError(404, 'no such path', null) : null,
    )
    const models = 'models: { vectors: { class: embedding, targets: [{ server: one, model: text-embed }] } }'

    const { worst } = await examine(oneServer(server.url, '', models))

    expect(worst).toMatchObject([
      {
        check: 'embeddings',
        subject: 'one/text-embed',
        detail: expect.stringMatching(/makes no vectors/),
        remedy: expect.stringMatching(/--runner pooling/),
      },
    ])
  })

  test.each([
    ['that is not there', 'http://127.0.0.1:9', /nothing listens/, /Start the server/],
    ['whose name nobody knows', 'http://no-such-host.invalid', /nobody knows its host name/, /base_url/],
  ])('%s', async (_, url, detail, remedy) => {
    const { worst, status } = await examine(oneServer(url))

    expect(worst).toMatchObject([
      {
        check: 'server',
        subject: 'one',
        status: 'failed',
        detail: expect.stringMatching(detail),
        remedy: expect.stringMatching(remedy),
      },
    ])
    expect(status).toBe(1)
  })

  test('with which no connection comes about is told from one that says nothing', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    const address = server.address()
    const { worst } = await examine(oneServer(`https://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`))
    server.close()

    expect(worst).toMatchObject([
      {
        check: 'server',
        detail: expect.stringMatching(/no connection .*connect timeout/),
        remedy: expect.stringMatching(/firewalls.*https/),
      },
    ])
  })

  test.each([
    ['a little', 120, 'warning'],
    ['so much that signatures fail', 900, 'failed'],
  ])('whose clock differs %s is reported', async (_, seconds, status) => {
    await using server = await serverWith(request => {
      if (!isList(request)) return null
      const date = new Date(Date.now() + seconds * 1000).toUTCString()
      return json(200, { object: 'list', data: [{ id: 'good', object: 'model' }] }, { date })
    })

    const { worst } = await examine(oneServer(server.url))

    expect(worst).toMatchObject([
      { check: 'clock', status, detail: expect.stringMatching(/ s behind/), remedy: expect.stringMatching(/NTP/) },
    ])
  })

  describe('over https', () => {
    let certificates: Certificates
    beforeAll(async () => {
      certificates = await makeCertificates()
    })
    afterAll(() => certificates[Symbol.asyncDispose]())

    async function behindTls(days: number, more: Readonly<Record<string, unknown>> = {}) {
      const files = await certificates.issue(`server${days}`, days)
      const server = Bun.serve({
        port: 0,
        tls: { cert: Bun.file(files.cert), key: Bun.file(files.key), ...more },
        fetch: () => Response.json({ object: 'list', data: [{ id: 'good', object: 'model' }] }),
      })
      return { url: `https://localhost:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) }
    }

    test('whose authority is not known, and then is', async () => {
      await using server = await behindTls(1)

      const unknown = await examine(oneServer(server.url), { more: ['--no-calls'] })
      const named = await examine(oneServer(server.url, `, tls: { ca_file: ${certificates.ca} }`), {
        more: ['--no-calls'],
      })
      const known = await examine(oneServer(server.url), {
        more: ['--no-calls'],
        env: { NODE_EXTRA_CA_CERTS: certificates.ca },
      })

      expect(unknown.worst).toMatchObject([
        {
          check: 'server',
          detail: expect.stringMatching(/authority that is not known/),
          remedy: expect.stringMatching(/NODE_EXTRA_CA_CERTS/),
        },
      ])
      expect([known.worst, named.worst]).toEqual([[], []])
    })

    test('whose file of authorities is not there', async () => {
      await using server = await behindTls(1)

      const { worst } = await examine(oneServer(server.url, ', tls: { ca_file: gone.pem }'), { more: ['--no-calls'] })

      expect(worst).toMatchObject([
        { check: 'configuration', detail: expect.stringMatching(/tls\.ca_file: gone\.pem does not exist/) },
        { check: 'server', detail: expect.stringMatching(/gone\.pem/), remedy: expect.stringMatching(/ca_file/) },
      ])
    })

    test('that wants to see a certificate, by which it is known to the gateway', async () => {
      const { cert, key } = await certificates.issue('gateway.example')
      const mutual = { ca: Bun.file(certificates.ca), requestCert: true, rejectUnauthorized: true }
      await using server = await behindTls(1, mutual)
      const examined = (own: string) =>
        examine(oneServer(server.url, `, tls: { ca_file: ${certificates.ca}${own} }`), { more: ['--no-calls'] })

      const [without, shown] = [await examined(''), await examined(`, cert_file: ${cert}, key_file: ${key}`)]

      expect(without.worst).toMatchObject([
        { check: 'server', detail: expect.stringMatching(/wants to see/), remedy: expect.stringMatching(/cert_file/) },
      ])
      expect(shown.worst).toEqual([])
    })

    test('whose certificate has expired', async () => {
      await using server = await behindTls(-1)

      const { worst } = await examine(oneServer(server.url), { env: { NODE_EXTRA_CA_CERTS: certificates.ca } })

      expect(worst).toMatchObject([
        {
          check: 'server',
          detail: expect.stringMatching(/certificate has expired/),
          remedy: expect.stringMatching(/Renew/),
        },
      ])
    })

    test('that speaks plain http in truth is reported', async () => {
      await using server = Bun.serve({ port: 0, fetch: () => new Response() })

      const { worst } = await examine(oneServer(`https://localhost:${server.port}`))

      expect(worst).toMatchObject([
        {
          check: 'server',
          status: 'failed',
          detail: expect.stringMatching(/does not speak https/),
          remedy: expect.stringMatching(/http:/),
        },
      ])
    })

    test('of the gateway itself, expired', async () => {
      const { cert, key } = await certificates.issue('own', -1)

      const { worst } = await examine(
        `gateway: { discover: false }\nservers: []\nservice: { tls: { cert_file: ${cert}, key_file: ${key} } }\n`,
      )

      expect(worst).toContainEqual(
        expect.objectContaining({ check: 'certificate', status: 'failed', detail: expect.stringMatching(/expired/) }),
      )
    })
  })
})

describe('Redis', () => {
  let redis: Redis
  beforeAll(async () => {
    redis = await startRedis()
    await redis.command('CONFIG', 'SET', 'requirepass', 'right-password')
  })
  afterAll(() => redis[Symbol.asyncDispose]())

  const withRedis = (url: string) =>
    examine(`redis: { url: "${url}" }\n`).then(({ report }) => report.findings.find(({ check }) => check === 'redis'))
  const at = (login: string) => `redis://${login}127.0.0.1:${redis.port}`

  test('with the right password is fine', async () => {
    expect(await withRedis(at(':right-password@'))).toMatchObject({
      status: 'ok',
      detail: expect.stringMatching(/^Redis \d.* takes writes/),
    })
  })

  test.each([
    ['a wrong password', () => at(':wrong-password@'), /WRONGPASS/, /password .* before the @$/],
    ['no password', () => at(''), /NOAUTH/, /password .* before the @$/],
    ['a host that nobody knows', () => 'redis://no-such-host.invalid', /ENOTFOUND|EAI_AGAIN/, /host name/],
    ['nobody there', () => 'redis://127.0.0.1:9', /ECONNREFUSED/, /start Redis/],
  ])('with %s', async (_, url, detail, remedy) => {
    expect(await withRedis(url())).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(detail),
      remedy: expect.stringMatching(remedy),
    })
  })

  describe('as a cluster', () => {
    let cluster: RedisCluster
    beforeAll(async () => {
      cluster = await startRedisCluster()
    }, 30_000)
    afterAll(() => cluster[Symbol.asyncDispose]())

    const withNodes = (urls: readonly string[]) =>
      examine(`redis: { url: ${JSON.stringify(urls)} }\n`).then(({ report }) =>
        report.findings.find(({ check }) => check === 'redis'),
      )

    test('is fine when all of it takes writes', async () => {
      expect(await withNodes(cluster.urls)).toMatchObject({
        status: 'ok',
        detail: expect.stringMatching(/^Redis \d.* takes writes/),
      })
    })

    test('is used with a listed node away, which is told', async () => {
      const found = await withNodes(['redis://127.0.0.1:9', ...cluster.urls])

      expect(found).toMatchObject({
        status: 'warning',
        detail: expect.stringMatching(/takes writes.*; 127\.0\.0\.1:9 .*ECONNREFUSED/),
      })
    })

    test('has every master looked at, also with a listed node away, which is told', async () => {
      await cluster.nodes[1]?.command('CONFIG', 'SET', 'maxmemory', '1gb')
      const found = await withNodes(['redis://127.0.0.1:9', ...cluster.urls])
      await cluster.nodes[1]?.command('CONFIG', 'SET', 'maxmemory', '0')

      expect(found).toMatchObject({
        status: 'warning',
        detail: expect.stringMatching(/1024 MB are full.*; 127\.0\.0\.1:9 .*ECONNREFUSED/),
      })
    })

    test('that is full is called full, also with listed nodes away', async () => {
      // Many, because the library begins with any of those that are listed.
      const away = Array.from({ length: 9 }, (_, at) => `redis://127.0.0.1:${at + 1}`)
      const sizes = async (bytes: string) => {
        for (const node of cluster.nodes) await node.command('CONFIG', 'SET', 'maxmemory', bytes)
      }
      await sizes('1')
      const found = await withNodes([...away, ...cluster.urls])
      await sizes('0')

      expect(found).toMatchObject({
        status: 'failed',
        detail: expect.stringMatching(/OOM/),
        remedy: expect.stringMatching(/full/),
      })
    })

    test('fails where its nodes are none of a cluster', async () => {
      const found = await withNodes([at(':right-password@'), at(':right-password@')])

      expect(found).toMatchObject({
        status: 'failed',
        detail: expect.stringMatching(/cluster support disabled/),
        remedy: expect.stringMatching(/one address/),
      })
    })
  })

  test('that is a web server in truth fails, and the remedy names host and port', async () => {
    await using server = Bun.serve({ port: 0, fetch: () => new Response('hello') })

    expect(await withRedis(`redis://127.0.0.1:${server.port}`)).toMatchObject({
      status: 'failed',
      remedy: expect.stringMatching(/no Redis.*host and port/),
    })
  })

  test('that closes connections fails, and the remedy names TLS', async () => {
    const server = createServer(socket => socket.resetAndDestroy()).listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    const address = server.address()
    const found = await withRedis(`redis://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`)
    server.close()

    expect(found).toMatchObject({ status: 'failed', remedy: expect.stringMatching(/rediss:\/\//) })
  })

  test('that has no memory left fails, and the remedy names maxmemory', async () => {
    await using full = await startRedis()
    await full.command('CONFIG', 'SET', 'maxmemory', '1')

    expect(await withRedis(full.url)).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(/OOM/),
      remedy: expect.stringMatching(/maxmemory/),
    })
  })

  test('that will take no writes once it is full is warned of, unless it makes room', async () => {
    await using bounded = await startRedis()
    await bounded.command('CONFIG', 'SET', 'maxmemory', '64mb')

    expect(await withRedis(bounded.url)).toMatchObject({
      status: 'warning',
      detail: expect.stringMatching(/takes writes.*until its 64 MB are full.*noeviction/),
      remedy: expect.stringMatching(/volatile-lru/),
    })

    await bounded.command('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru')
    expect(await withRedis(bounded.url)).toMatchObject({ status: 'ok' })
  })

  test('that is a read-only replica fails, and the remedy names the primary', async () => {
    await using replica = await startRedis(['--replicaof', '127.0.0.1', '9', '--replica-serve-stale-data', 'yes'])

    expect(await withRedis(replica.url)).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(/READONLY/),
      remedy: expect.stringMatching(/primary/),
    })
  })
})

describe('the database', () => {
  let postgres: Postgres
  let good: string
  let made: string
  let certificates: Certificates
  beforeAll(async () => {
    postgres = await startPostgres('right-password')
    good = await postgres.database()
    const sql = new SQL({ url: good, max: 1 })
    await sql.unsafe(`CREATE ROLE crowded LOGIN PASSWORD 'right-password' CONNECTION LIMIT 0`)
    await sql.unsafe(`CREATE ROLE reader LOGIN PASSWORD 'right-password'`)
    await sql.unsafe(`CREATE ROLE late LOGIN PASSWORD 'right-password'`)
    await sql.unsafe(`ALTER ROLE late SET default_transaction_read_only = on`)
    await sql.unsafe(`CREATE ROLE encrypted LOGIN PASSWORD 'right-password'`)
    await sql.unsafe(`CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`)
    await sql.close()
    made = await postgres.database()
    await migrateSql({ place: { kind: 'postgres', url: made }, pool: 1, timeoutMs: 10_000 })
    const tables = new SQL({ url: made, max: 1 })
    await tables.unsafe('GRANT SELECT ON migrations TO late; GRANT UPDATE, SELECT ON versions TO late')
    await tables.unsafe(POOLED)
    await tables.close()
    certificates = await makeCertificates()
    await speakTls(good, await certificates.issue('postgres'))
  })
  afterAll(async () => {
    await postgres[Symbol.asyncDispose]()
    await certificates[Symbol.asyncDispose]()
  })

  const withDatabase = (url: string) =>
    examine(`database: { url: "${url}" }\n`).then(({ report }) =>
      report.findings.find(({ check }) => check === 'database'),
    )

  test('with the right password is fine', async () => {
    expect(await withDatabase(good)).toMatchObject({ status: 'ok', detail: expect.stringMatching(/^Postgres: empty/) })
  })

  test('that is up to date and takes writes is fine, also by TLS', async () => {
    expect(await withDatabase(`${made}?sslmode=verify-full&sslrootcert=${certificates.ca}`)).toMatchObject({
      status: 'ok',
      detail: 'Postgres: up to date, and takes writes',
    })
  })

  test.each([
    ['a wrong password', () => good.replace('right', 'wrong'), /password authentication failed/, /password/],
    ['a name that does not exist', () => good.replace(/\w+$/, 'nothing'), /does not exist/, /createdb/],
    ['no right to make tables', () => good.replace('citadel:', 'reader:'), /permission denied/, /GRANT CREATE/],
    ['a pooler before it', () => made.replace('citadel:', 'pooled:'), /prepared statement/, /prepare=false/],
    ['no connection left', () => good.replace('citadel:', 'crowded:'), /too many connections/, /max_connections/],
    [
      'no right to its tables',
      () => made.replace('citadel:', 'reader:'),
      /permission denied for table/,
      /GRANT SELECT/,
    ],
    ['a parameter that nobody knows', () => `${good}?pgbouncer=true`, /"pgbouncer"/, /behind the \?/],
    ['a replica', () => made.replace('citadel:', 'late:'), /read-only transaction/, /primary/],
    [
      'texts that it cannot hold',
      () => good.replace(/\w+$/, 'latin'),
      /LATIN1/,
      /CREATE DATABASE NAME ENCODING 'UTF8'/,
    ],
    ['no TLS where it is wanted', () => good.replace('citadel:', 'encrypted:'), /no encryption/, /sslmode=verify-full/],
    ['a certificate of nobody that is known', () => `${good}?sslmode=verify-full`, /certificate/, /sslrootcert=/],
    [
      'a certificate for another name',
      () => `${good.replace('127.0.0.1', '[::ffff:127.0.0.1]')}?sslmode=verify-full&sslrootcert=${certificates.ca}`,
      /altnames/,
      /host name/,
    ],
    ['nobody there', () => 'postgres://a:b@127.0.0.1:9/c', /REFUSED|connect/i, /start Postgres/],
    ['a host that nobody knows', () => 'postgres://a:b@no-such-host.invalid/c', /ENOTFOUND|EAI_AGAIN/, /host name/],
  ])('with %s', async (_, url, detail, remedy) => {
    const found = await withDatabase(url())

    expect(found).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(detail),
      remedy: expect.stringMatching(remedy),
    })
    expect(JSON.stringify(found)).not.toMatch(/right-password|wrong-password/)
  })

  test('that is another kind of file', async () => {
    const file = new URL('../../README.md', import.meta.url).pathname

    expect(await withDatabase(`sqlite://${file}`)).toMatchObject({
      status: 'failed',
      remedy: expect.stringMatching(/no database/),
    })
  })
})

/** A user who reads what one is told whose statements a pooler takes to connections of others. */
const POOLED = `
  CREATE FUNCTION mixed_up() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'prepared statement "P0" already exists' USING ERRCODE = '42P05'; END $$;
  CREATE ROLE pooled LOGIN PASSWORD 'right-password';
  GRANT SELECT ON migrations TO pooled;
  ALTER TABLE migrations ENABLE ROW LEVEL SECURITY;
  CREATE POLICY others ON migrations TO late USING (true);
  CREATE POLICY mixed ON migrations TO pooled USING (mixed_up())`

/** Has a Postgres take TLS, and from one of its users nothing else. */
async function speakTls(url: string, certificate: { readonly cert: string; readonly key: string }): Promise<void> {
  const sql = new SQL({ url, max: 1 })
  const rows: { folder: string }[] = await sql`SELECT current_setting('data_directory') AS folder`
  const folder = rows[0]?.folder ?? ''
  const { uid, gid } = await stat(folder)
  const files = { 'server.crt': certificate.cert, 'server.key': certificate.key }
  for (const [name, from] of Object.entries(files)) {
    await writeFile(join(folder, name), await readFile(from), { mode: 0o600 })
    await chown(join(folder, name), uid, gid)
  }
  const access = join(folder, 'pg_hba.conf')
  await writeFile(access, `hostnossl all encrypted all reject\n${await readFile(access, 'utf8')}`)
  await sql.unsafe('ALTER SYSTEM SET ssl = on')
  await sql.unsafe('SELECT pg_reload_conf()')
  await sql.close()
}

describe('an issuer of tokens', () => {
  let issuer: Issuer
  beforeAll(async () => {
    issuer = startIssuer(await makeKey('one'))
  })
  afterAll(() => issuer[Symbol.asyncDispose]())

  const withIssuer = (more: string) =>
    examine(`auth: { jwt: { issuer: ${issuer.url}, audience: citadel${more} } }\ngateway: { demo: true }\n`).then(
      ({ report }) => report.findings.filter(({ subject }) => subject?.startsWith(issuer.url) === true),
    )

  test('that publishes its keys is fine', async () => {
    issuer.answer(null)

    expect(await withIssuer('')).toMatchObject([{ check: 'issuer', status: 'ok', detail: 'it publishes 1 key' }])
  })

  test('whose tokens are checked with a secret is not asked', async () => {
    expect(await withIssuer(', algorithms: [HS256], secret: not-a-secret-but-32-characters-long')).toEqual([])
  })

  test.each([
    ['that publishes nothing there', () => new Response('', { status: 404 }), /answered 404/, /jwks_url/],
    ['that answers with a web page', () => new Response('<html>'), /cannot be read/, /jwks_url/],
    ['that names itself otherwise', () => Response.json({ issuer: 'x' }), /does not describe/, /as the issuer names/],
  ])('%s', async (_, answer, detail, remedy) => {
    issuer.answer(answer)

    expect(await withIssuer('')).toMatchObject([
      {
        check: 'issuer',
        status: 'failed',
        detail: expect.stringMatching(detail),
        remedy: expect.stringMatching(remedy),
      },
    ])
  })

  test('whose clock differs by more than the leeway', async () => {
    const date = new Date(Date.now() - 60_000).toUTCString()
    issuer.answer(() => Response.json({ keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }] }, { headers: { date } }))

    expect(await withIssuer(`, jwks_url: ${issuer.jwksUrl}`)).toMatchObject([
      { check: 'issuer', status: 'ok' },
      { check: 'clock', status: 'failed', detail: expect.stringMatching(/6\d s ahead of/) },
    ])
  })
})

describe('the machine', () => {
  test('whose port is taken by another program', async () => {
    await using taken = await startUpstream(html())

    const { worst } = await examine('servers: []\n', { port: taken.port })

    expect(worst).toContainEqual(
      expect.objectContaining({
        check: 'port',
        status: 'failed',
        detail: expect.stringMatching(/another program/),
        remedy: expect.stringMatching(/ss -ltnp/),
      }),
    )
  })

  test('whose address is not its own', async () => {
    const { worst } = await examine('service: { host: 203.0.113.7 }\n')

    expect(worst).toContainEqual(
      expect.objectContaining({
        check: 'port',
        status: 'failed',
        remedy: expect.stringMatching(/address of this machine/),
      }),
    )
  })

  test('with a limit of 256 open files fails the check, and the remedy names LimitNOFILE', async () => {
    const child = Bun.spawn(['sh', '-c', `ulimit -n 256; exec "$0" "$1" doctor --no-calls`, process.execPath, MAIN], {
      cwd: '/',
      env: { PATH: process.env.PATH ?? '', HOME: '/dev/null' },
      stderr: 'ignore',
    })
    const text = await new Response(child.stdout).text()

    expect(text).toMatch(/^failed {3}file limit: 256 open files.*\n.*LimitNOFILE/m)
    expect(await child.exited).toBe(1)
  })

  test('whose data folder takes no more, as on a full disk', async () => {
    const folder = await ownFolder('citadel-full-')
    const command = `ulimit -f 0; trap '' XFSZ; exec "$0" "$1" doctor --no-calls --json`
    const child = Bun.spawn(['sh', '-c', command, process.execPath, MAIN], {
      cwd: '/',
      env: { PATH: process.env.PATH ?? '', HOME: folder.path },
      stderr: 'ignore',
    })
    const { findings }: Report = JSON.parse(await new Response(child.stdout).text())
    await folder.remove()

    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'data folder', status: 'failed', detail: expect.stringMatching(/EFBIG/) }),
    )
  })

  test('whose data folder cannot be written', async () => {
    const file = new URL('../../README.md', import.meta.url).pathname

    const { worst } = await examine(`service: { data_dir: ${file}/below }\ndatabase: { url: "sqlite::memory:" }\n`)

    expect(worst).toContainEqual(
      expect.objectContaining({
        check: 'data folder',
        status: 'failed',
        remedy: expect.stringMatching(/service\.data_dir/),
      }),
    )
  })
})

test('a configuration that is wrong is told on standard error and to programs, with 78', async () => {
  const { status, report, err } = await examine('servrs: []\nservice: { drain_delay: x }\n')

  expect(status).toBe(78)
  expect(err).toContain('servers')
  expect(report).toMatchObject({
    failed: 2,
    findings: [
      { check: 'configuration', detail: expect.stringMatching(/gateway\.yaml:1:1 {2}servrs: .*"servers"/) },
      { check: 'configuration', detail: expect.stringMatching(/service\.drain_delay/), remedy: expect.any(String) },
    ],
  })
})

test.each([
  ['a timeout that is none', ['--timeout', 'soon']],
  ['an unknown option', ['--fast']],
])('%s is wrong usage', async (_, more) => {
  const { status, err } = await examine('', { more })

  expect(status).toBe(64)
  expect(err).toContain('Try: citadel')
})
