import { expect, test } from 'bun:test'
import { configFiles, configFrom, loadConfig, loadEnvironment } from '#config/load.ts'
import { complaints, loadText, loadTexts } from '#tests/support/config-texts.ts'

const defaults = configFrom()

test('gives the defaults when there is no file', async () => {
  const { config, warnings, files } = await loadConfig({ files: [], env: {} })

  expect(config).toEqual(defaults)
  expect({ warnings, files }).toEqual({ warnings: [], files: [] })
})

test.each([
  '',
  '\n\n',
  '# nothing here\n  # nor here',
  '---',
  'null',
  '{}',
  'service:\ncache:\nmodels:\n',
  '\uFEFF# x',
])('gives the defaults for the empty file %j', async text => {
  expect((await loadText(text)).config).toEqual(defaults)
})

test('names a file that does not exist', async () => {
  const said = await complaints(loadConfig({ files: ['no/such/gateway.yaml'], env: {} }))

  expect(said).toEqual(['no/such/gateway.yaml  does not exist'])
})

test('keeps the names of the file, with milliseconds and bytes', async () => {
  const { config } = await loadText('service: { max_body: 2MiB, keep_alive: 1m }\ntimeouts: { total: 3600 }')

  expect(config.service.max_body).toBe(2_097_152)
  expect(config.service.keep_alive).toBe(60_000)
  expect(config.timeouts.total).toBe(3_600_000)
})

test('lets later files win key by key and replace lists', async () => {
  const { config } = await loadTexts({
    'base.yaml': 'service: { name: base, port: 1, trusted_proxies: [10.0.0.0/8, 127.0.0.1] }',
    'site.yaml': 'service: { port: 2, trusted_proxies: ["::1"] }',
  })

  expect(config.service).toMatchObject({ name: 'base', port: 2, trusted_proxies: ['::1'] })
})

test('lets a later value win over an earlier file that holds one, and the other way round', async () => {
  const redis = async (...texts: string[]) => {
    const files = Object.fromEntries(texts.map((text, index) => [`${index}.yaml`, text]))
    return (await loadTexts(files, { others: { far: 'redis://far' } })).config.redis.url
  }
  const env = { DATABASE_URL: 'postgres://near/d' }

  expect(await redis('redis: { url_file: far }', 'redis: { url: "redis://near" }')).toEqual(['redis://near'])
  expect(await redis('redis: { url: "redis://near" }', 'redis: { url_file: far }')).toEqual(['redis://far'])
  expect(await redis('redis: { url_file: far }', 'redis: { timeout: 1s }')).toEqual(['redis://far'])
  expect((await loadText('database: { url_file: gone }', { env })).config.database.url).toBe(env.DATABASE_URL)
})

test('keeps a section that a later file leaves empty', async () => {
  const { config } = await loadTexts({
    'base.yaml': 'service: { name: base }\ngateway: { fallback: { enabled: false } }',
    'site.yaml': 'service:\ngateway:\n  fallback:\n',
  })

  expect(config.service.name).toBe('base')
  expect(config.gateway.fallback.enabled).toBe(false)
})

test('lets a later file take a value back, but not put another thing where a section belongs', async () => {
  const after = (text: string) =>
    loadTexts({ 'base.yaml': 'service: { port: 1 }\ngateway: { default_model: demo }', 'site.yaml': text })

  expect((await after('gateway: { default_model: }')).config.gateway.default_model).toBeNull()
  expect(await complaints(after('service: 5'))).toEqual(['site.yaml:1:10  service: expected a map of keys, got 5'])
  expect(await complaints(after('service: [5]'))).toEqual([
    'site.yaml:1:10  service: expected a map of keys, got a list',
  ])
})

test('places problems in the file that wrote the value', async () => {
  const said = await complaints(
    loadTexts({ 'base.yaml': 'service:\n  port: x\n  host: 1', 'site.yaml': '# comment\nservice: { port: y }' }),
  )

  expect(said).toEqual([
    'base.yaml:3:9  service.host: expected text in quotes, got 1',
    'site.yaml:2:18  service.port: expected a number, got "y"',
  ])
})

test('lets the environment win over files and flags over both', async () => {
  const text = 'service: { host: a, port: 1, name: file }'
  const env = { API_GATEWAY_HOST: 'b', API_GATEWAY_PORT: '2' }

  const { config } = await loadText(text, { env, flags: { port: '3', host: undefined } })

  expect(config.service).toMatchObject({ name: 'file', host: 'b', port: 3 })
})

test('gives a value that cannot be changed anywhere', async () => {
  const { config } = await loadText('servers: [{ id: a, kind: ollama, timeouts: { idle: 1s } }]')

  expect(Object.isFrozen(config)).toBe(true)
  expect(Object.isFrozen(config.servers[0]?.timeouts)).toBe(true)
})

test('reads numbers and words that YAML leaves as text', async () => {
  const { config } = await loadText(
    'service: { port: "81" }\ngateway: { intelligent_routing: yes, discover: "FALSE" }\nmonitoring: { log_level: WARNING }',
  )

  expect(config.service.port).toBe(81)
  expect(config.gateway).toMatchObject({ intelligent_routing: true, discover: false })
  expect(config.monitoring.log_level).toBe('warn')
})

test('reads the name of a model as it is written, also one that looks like a number', async () => {
  const { config } = await loadText('models: { 3.10: { endpoint: "http://a" }, 0x10: { endpoint: "http://b" } }')

  expect(Object.keys(config.models)).toEqual(['3.10', '0x10'])
})

test('reads a long file in which an alias stands', async () => {
  const order = Array.from({ length: 20_001 }, (_, at) => `s/${at}`).join(', ')
  const text = `servers: [{ id: &s s, kind: ollama, base_url: "http://s" }, { id: t, kind: ollama, base_url: "http://t" }]
gateway: { classes: { heavyweight: { prefer: [*s] } }, fallback: { order: [${order}] } }`

  expect((await loadText(text)).config.gateway.fallback.order).toHaveLength(20_001)
})

test('lets others have their turn while it reads a large file', async () => {
  const models = Array.from({ length: 2000 }, (_, at) => `  m${at}: { targets: [{ server: s, model: t${at} }] }`)
  const text = `servers: [{ id: s, kind: ollama, base_url: "http://s" }]\nmodels:\n${models.join('\n')}`
  let turns = 0
  let over = false
  const count = () => {
    turns++
    if (!over) setImmediate(count)
  }
  setImmediate(count)

  const { config } = await loadText(text)
  over = true

  expect(Object.keys(config.models)).toHaveLength(2000)
  expect(turns).toBeGreaterThan(10)
})

test('completes both forms of a model', async () => {
  const { config } = await loadText(`
servers: [{ id: local, kind: Ollama }]
models:
  short: { endpoint: "http://10.0.0.1:11400", weight: 0.8, max_concurrent: 20, cost_per_request: 0.05 }
  full: { targets: [{ server: local }, { server: short, model: other, price: { input: 1 } }], fallbacks: [short, local/full] }
`)

  expect(config.servers[0]?.kind).toBe('ollama')
  expect(config.models.short).toMatchObject({ endpoint: 'http://10.0.0.1:11400', targets: [], cost_per_request: 0.05 })
  expect(config.models.full?.targets.map(target => target.model)).toEqual(['full', 'other'])
  expect(config.models.full?.targets[1]?.price).toMatchObject({ input: 1, output: null })
})

test('joins one key and several keys of a server', async () => {
  const { config } = await loadText(
    'servers: [{ id: a, kind: openai, api_key: one, api_keys: [two, one] }, { id: b, kind: openai, api_key: x, api_keys: [y] }]',
  )

  expect(config.servers.map(server => server.api_keys)).toEqual([
    ['two', 'one'],
    ['x', 'y'],
  ])
})

test.each([
  ['{}', 1000, 100],
  ['{ burst: 7 }', 1000, 7],
  ['{ requests_per_hour: 50 }', 1000, 100],
  ['{ requests_per_minute: 10 }', 10, null],
  ['{ requests_per_minute: 6000 }', 6000, null],
  ['{ requests_per_minute: 0, requests_per_hour: 500 }', 0, null],
])('a limit over all callers brings its own burst: %s', async (written, requests_per_minute, burst) => {
  const { global } = (await loadText(`limits: { global: ${written} }`)).config.limits

  expect(global).toMatchObject({ requests_per_minute, burst })
})

test('accepts a model that only a server knows when it is named with its server', async () => {
  const text =
    'gateway: { default_model: local/llama3 }\nservers: [{ id: local, kind: ollama }]\nmodels: { a: { endpoint: "http://a" } }'

  expect((await loadText(text)).config.gateway.default_model).toBe('local/llama3')
})

test.each([
  'gateway: { default_model: llama3 }\nservers: [{ id: local, kind: ollama }]',
  'gateway: { default_model: llama3, discover: true }\nmodels: { a: { endpoint: "http://a" } }',
  'gateway: { default_model: llama3, demo: true }\nmodels: { a: { endpoint: "http://a" } }',
  'gateway: { default_model: llama3 }\nservers: [{ id: local, kind: ollama }]\nmodels: { a: { endpoint: "http://a" } }',
  'gateway: { default_model: llama3, discover: yes }\nmodels: { a: { endpoint: "http://a" } }',
])('accepts a default model that may be found later in %j', async text => {
  expect((await loadText(text)).config.gateway.default_model).toBe('llama3')
})

test.each(['a', 'other', 's/llama', 's/b', 'c/c'])('accepts the default model %s, which is declared', async name => {
  const text = `
gateway: { default_model: ${name} }
servers: [{ id: s, kind: ollama }]
models:
  a: { targets: [{ server: s, model: llama }], aliases: [other] }
  b: { targets: [{ server: s }] }
  c: { endpoint: "http://c" }`

  expect((await loadText(text)).config.gateway.default_model).toBe(name)
})

test.each(['', '\n', '# nothing is set so far', 'gateway:'])('accepts a file that sets nothing: %j', async text => {
  expect((await loadText(text)).config).toEqual((await loadText('{}')).config)
})

test('looks for files where it was told, then in the environment, then in the usual place', () => {
  const env = { CITADEL_CONFIG: '/etc/citadel.yaml' }
  const there = () => true

  expect(configFiles(['a.yaml', 'b.yaml'], env, there)).toEqual(['a.yaml', 'b.yaml'])
  expect(configFiles([], env, there)).toEqual(['/etc/citadel.yaml'])
  expect(configFiles([], { CITADEL_CONFIG: ' ' }, path => path === 'config/gateway.yaml')).toEqual([
    'config/gateway.yaml',
  ])
  expect(configFiles([], {}, () => false)).toEqual([])
})

test('lays the real environment over environment files', async () => {
  const files: Record<string, string> = { 'a.env': 'A=1\nB=1\nC=1', 'b.env': 'B=2\nC=2' }

  const env = await loadEnvironment(Object.keys(files), { C: '3' }, async path => files[path] ?? '')

  expect(env).toEqual({ A: '1', B: '2', C: '3' })
})

test('names an environment file that does not exist', async () => {
  expect(await complaints(loadEnvironment(['no/such.env'], {}))).toEqual(['no/such.env  does not exist'])
})

test('completes a configuration that is written in code, and checks it', async () => {
  expect(
    configFrom({ service: { port: 0 }, performance: { rate_limit_rps: 1 } }).limits.global.requests_per_minute,
  ).toBe(60)
  const broken = async () => configFrom({ gateway: { headers: 'long' } })
  expect(await complaints(broken())).toEqual(['config  gateway.headers: expected one of short, full, got "long"'])
})

test.each([
  [1.5, 2],
  ['1.5', 2],
  [' 5 ', 5],
  ['5ms', 5],
  [' P95 ', 'p95'],
])('reads %j after which a hedge goes out the same in quotes and without', (after, meant) => {
  expect(configFrom({ hedging: { after } }).hedging.after as unknown).toBe(meant)
})

test('warns of keys that have expired', async () => {
  const text = `
auth:
  keys:
    - { name: past, key: ck-past, expires: 2027-01-01 }
    - { name: now, key: ck-now, expires: 2027-01-02T00:00:00Z }
    - { name: later, key: ck-later, expires: 2027-01-03 }
    - { name: always, key: ck-always }
`
  const { warnings } = await loadText(text, { now: () => Date.UTC(2027, 0, 2) })

  expect(warnings).toEqual([
    'gateway.yaml:4:44  auth.keys.0.expires: has passed, so that the key of "past" is refused',
    'gateway.yaml:5:42  auth.keys.1.expires: has passed, so that the key of "now" is refused',
  ])
})

test.each(['disable', 'Prefer', 'required', 'verify_full', 'verify-ca', ''])(
  'takes each sslmode that the runtime takes: %j',
  mode => {
    const url = `postgres://db.internal/citadel?sslmode=${mode}`

    expect(configFrom({ database: { url } }).database.url).toBe(url)
  },
)
