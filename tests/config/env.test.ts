import { expect, test } from 'bun:test'
import { environmentTable } from '#config/env.ts'
import { loadConfig } from '#config/load.ts'
import { complaints, loadText } from '#tests/support/config-texts.ts'

const load = async (env: Record<string, string>) => loadConfig({ files: [], env })

test('lets the variables of the gateway win over the common ones', async () => {
  const { config } = await load({ GATEWAY_PORT: '1', API_GATEWAY_PORT: '2', GATEWAY_HOST: 'a', API_GATEWAY_HOST: 'b' })

  expect(config.service).toMatchObject({ host: 'b', port: 2 })
})

test.each(['tcp://10.0.0.1:8000', 'http', '65536', '1.5'])('ignores %j as a port, with a warning', async value => {
  const { config, warnings } = await load({ API_GATEWAY_PORT: value, GATEWAY_PORT: '81' })

  expect(config.service.port).toBe(81)
  expect(warnings).toEqual(['environment  API_GATEWAY_PORT: ignored, it is no port'])
})

test('takes an empty variable as absent, and none of the blanks around another', async () => {
  const { config, warnings } = await load({ API_GATEWAY_PORT: ' ', DEFAULT_MODEL: '' })

  expect([config.service.port, warnings]).toEqual([8000, []])
  expect((await load({ API_GATEWAY_HOST: ' ::1\n' })).config.service.host).toBe('::1')
})

test('sets every key of the table', async () => {
  const values: Record<string, string> = {
    host: 'h',
    log_level: 'info',
    algorithm: 'random',
    default_model: 'some-model',
    environment: 'staging',
    health_check_endpoint: '/up',
    metrics_endpoint: '/m',
    prometheus_port: '8',
    'redis.url': 'redis://r',
    'database.url': 'postgres://d',
  }
  const valueFor = (path: string) => {
    const key = path.split('.').at(-1) ?? ''
    return values[path] ?? values[key] ?? (/enabled|routing$/.test(key) ? 'false' : '7')
  }
  const env = Object.fromEntries(environmentTable.map(({ name, path }) => [name, valueFor(path)]))

  const { config } = await load(env)

  expect(config.service).toMatchObject({ host: 'h', port: 7, workers: 7, environment: 'staging' })
  expect(config.load_balancer).toMatchObject({
    algorithm: 'random',
    health_check_interval: 7000,
    circuit_breaker_threshold: 7,
    circuit_breaker_timeout: 7000,
    circuit_breaker_enabled: false,
  })
  expect(config.gateway).toMatchObject({
    default_model: 'some-model',
    model_routing_enabled: false,
    fallback: { enabled: false },
  })
  expect(config.monitoring).toMatchObject({ prometheus_port: 8, metrics_endpoint: '/m', health_check_endpoint: '/up' })
  expect(config.cache).toMatchObject({ enabled: false, ttl: { chat: 7000 } })
  expect(config.performance).toMatchObject({ memory_limit_gb: 7, cpu_cores: 7, rate_limit_rps: 7 })
  expect(config.limits).toMatchObject({
    enabled: false,
    per_client: { requests_per_minute: 7 },
    global: { requests_per_minute: 420, burst: 28, concurrent_requests: 7 },
  })
  expect(config.redis.url).toEqual(['redis://r'])
  expect(config.database.url).toBe('postgres://d')
})

test('creates the known models from their endpoints', async () => {
  const { config, warnings } = await load({
    MIXTRAL_8X7B_ENDPOINT: 'http://h:1',
    HERMES_2_ENDPOINT: 'http://h:2',
    OPENCHAT_3_5_ENDPOINT: 'http://h:3',
    PHI_3_MINI_ENDPOINT: 'http://h:4',
  })

  const endpoints = Object.entries(config.models).map(([name, model]) => `${name} ${model.endpoint}`)
  expect(endpoints.sort()).toEqual([
    'hermes-2 http://h:2',
    'mixtral-8x7b http://h:1',
    'openchat-3.5 http://h:3',
    'phi-3-mini http://h:4',
  ])
  expect(warnings).toEqual([])
})

test('finds the model of an endpoint without regard to case and punctuation', async () => {
  const text =
    'models: { Qwen2.5-Coder: { endpoint: "http://old", weight: 3 }, mixtral_8x7b: { endpoint: "http://old" } }'

  const { config } = await loadText(text, {
    env: { QWEN_2_5_CODER_ENDPOINT: 'http://new', MIXTRAL_8X7B_ENDPOINT: 'http://new' },
  })

  expect(config.models['Qwen2.5-Coder']).toMatchObject({ endpoint: 'http://new', weight: 3 })
  expect(Object.keys(config.models)).toEqual(['Qwen2.5-Coder', 'mixtral_8x7b'])
  expect(config.models.mixtral_8x7b?.endpoint).toBe('http://new')
})

test('warns of an endpoint that is no model, and knows those that never are', async () => {
  const env = {
    MINIO_ENDPOINT: 'http://m',
    CHATT_ENDPOINT: 'http://c',
    METRICS_ENDPOINT: '/m',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://o',
    HEALTH_CHECK_ENDPOINT: '/h',
  }

  const { warnings } = await loadText('models: { chat: { endpoint: "http://a" } }', { env })

  expect(warnings).toEqual([
    'environment  CHATT_ENDPOINT: ignored, no configured model has this name; the nearest is chat',
    'environment  MINIO_ENDPOINT: ignored, no configured model has this name',
  ])
})

test('replaces configured targets by an endpoint, and says so', async () => {
  const text = 'servers: [{ id: s, kind: ollama }]\nmodels: { chat: { targets: [{ server: s }], class: heavyweight } }'

  const { config, warnings } = await loadText(text, { env: { CHAT_ENDPOINT: 'http://new' } })

  expect(config.models.chat).toMatchObject({ endpoint: 'http://new', targets: [], class: 'heavyweight' })
  expect(warnings).toEqual(['environment  CHAT_ENDPOINT: replaces the targets of models.chat'])
})

test('leaves the variables of the client alone', async () => {
  expect(await load({ GATEWAY_ENABLED: 'perhaps' })).toMatchObject({ warnings: [] })
})

test('names the variable that holds a wrong value', async () => {
  const env = {
    RATE_LIMIT_RPS: 'abc',
    HEALTH_CHECK_INTERVAL: 'often',
    PHI_3_MINI_ENDPOINT: 'grpc://h',
    DEFAULT_MODEL: 'fi-3-mini',
    REDIS_URL: 'http://:canary@h',
  }

  expect((await complaints(load(env))).sort()).toEqual([
    'environment  DEFAULT_MODEL: no model is called "fi-3-mini", did you mean "phi-3-mini"?',
    'environment  HEALTH_CHECK_INTERVAL: expected a duration such as 30s, got "often"',
    'environment  PHI_3_MINI_ENDPOINT: expected an address such as http://127.0.0.1:11434, got "grpc://h"',
    'environment  RATE_LIMIT_RPS: expected a number, got "abc"',
    'environment  REDIS_URL: expected an address such as redis://127.0.0.1:6379',
  ])
})

test.each([
  'redis://a:6379,redis://b:6379',
  'redis://:canary@a:6379, rediss://:canary@b',
  'redis://me:canary@a:6379,b:6379/0',
  'redis://a,redis://b',
])('says how several nodes of Redis are written: %s', async REDIS_URL => {
  expect(await complaints(load({ REDIS_URL }))).toEqual([
    'environment  REDIS_URL: holds more than one address; the nodes of a cluster are a list in the file, ["redis://a:6379", "redis://b:6379"]',
  ])
})

test('tells several databases from one that cannot be read, and a comma in a password from both', async () => {
  const several = 'postgres://me:canary@a:5432,b:5432/db'

  expect(await complaints(load({ DATABASE_URL: several }))).toEqual([
    'environment  DATABASE_URL: holds more than one address',
  ])
  for (const url of ['postgres://me:a,b@h/d,b?options=x,y', 'sqlite://a,b.db', 'sqlite:///a,b'])
    expect(await load({ DATABASE_URL: url })).toMatchObject({ config: { database: { url } } })
})
