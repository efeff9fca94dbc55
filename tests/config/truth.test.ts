import { describe, expect, test } from 'bun:test'
import { declare } from '#config/declare.ts'
import { needsRestart } from '#config/reload.ts'
import { STRATEGY_NAMES } from '#core/strategies.ts'
import { PROVIDERS } from '#providers/index.ts'
import { STRATEGIES } from '#routing/strategies/index.ts'
import { addressOf } from '#src/compose/address.ts'
import { configFrom } from '#src/index.ts'
import { complaints, loadText } from '#tests/support/config-texts.ts'

/** What loading says of a key besides its place. */
async function warningOf(text: string): Promise<string | null> {
  const { warnings } = await loadText(text)
  return warnings.length === 0 ? null : warnings.join('\n').replaceAll(/^\S+ {2}/gm, '')
}

describe('a key that works says nothing', () => {
  test.each([
    'service: { trusted_proxies: [10.0.0.0/8], keep_alive: 5s, drain_delay: 1s, drain_timeout: 1s, max_body: 1MB }',
    'service: { environment: production }',
    'service: { tls: { cert_file: a.pem, key_file: a.key, ca_file: b.pem } }',
    'auth: { jwt: { issuer: "https://a", audience: x, roles: { a: admin }, tenant_claim: t }, failures_per_minute: 5 }',
    'auth: { keys: [{ name: a, key: k, signing_secret: s }] }',
    'gateway: { headers: full, fallback: { order: [a], content_filter: true }, intelligent_routing: true, default_model: a }',
    'gateway: { classes: { lightweight: { prefer: [] } } }',
    'retry: { max_attempts: 2 }',
    'streams: { heartbeat: 5s, early_headers: 30s }',
    'hedging: { enabled: true, after: 200ms, max_percent: 10 }',
    'models: { a: { endpoint: "http://a", hedging: { enabled: true, after: 0 } } }',
    'limits: { global: { requests_per_minute: 5, burst: 2 }, per_client: { requests_per_minute: 5, burst: 2 } }',
    'timeouts: { connect: 1s, first_byte: 1s, first_token: 1s, idle: 1s, total: 1s, queue: 1s }',
    'load_balancer: { health_check_interval: 5s, health_check_timeout: 1s, unhealthy_threshold: 1, recovery_threshold: 1 }',
    'load_balancer: { circuit_breaker_enabled: true, circuit_breaker_threshold: 2, circuit_breaker_timeout: 5s }',
    'retry: { max_wait: 1s, budget_percent: 10, budget_min: 1, backoff_base: 5ms, backoff_max: 1s }',
    'auth: { keys: [{ name: a, key: k, role: viewer, limits: { requests_per_minute: 5, burst: 1 }, expires: 2030-01-01 }] }',
    'servers: [{ id: a, kind: ollama, weight: 2, max_concurrent: 3, timeouts: { idle: 1s }, api_keys: [one, two] }]',
    'models: { a: { endpoint: "http://a", display_name: A, max_concurrent: 2, class: lightweight } }',
    'monitoring: { log_level: debug, prometheus_port: 9090, thresholds: { response_time: [1s, 2s] } }',
    'cors: { origins: ["https://a.test"], credentials: true }',
    'database: { url: "postgres://h/d", timeout: 1s, pool: 2 }',
    'service: { data_dir: /d }\nauth: { stale: 5s }',
    'limits: { global: { tokens_per_day: 5 }, per_class: { heavyweight: { concurrent_requests: 2 } } }',
    'limits: { store_down: closed, processes: 4, per_user: { requests_per_hour: 5 } }',
    'redis: { url: "redis://127.0.0.1", timeout: 100ms }',
  ])('%s', async text => {
    expect(await warningOf(text)).toBeNull()
  })
})

describe('a key that does nothing yet says what it waits for', () => {
  test.each([
    ['service: { max_connections: 5 }', 'service.max_connections: no effect yet, waits for the count of connections'],
  ])('%s', async (text, warning) => {
    expect(await warningOf(text)).toBe(warning)
  })
})

describe('the algorithm of the load balancer', () => {
  test.each([...STRATEGY_NAMES, 'Round_Robin'])('%s is built', async algorithm => {
    const { config } = await loadText(`load_balancer: { algorithm: ${algorithm} }`)

    expect([...STRATEGIES.keys()]).toContain(config.load_balancer.algorithm)
  })

  test('that nobody knows is an error that names the nearest', async () => {
    const [problem] = await complaints(loadText('load_balancer:\n  algorithm: round_robbin'))

    expect(problem).toStartWith('gateway.yaml:2:14  load_balancer.algorithm: expected one of round_robin, ')
    expect(problem).toEndWith('got "round_robbin", did you mean "round_robin"?')
  })

  test('that nobody knows is an error also in a variable', async () => {
    const [problem] = await complaints(loadText('', { env: { LOAD_BALANCER_ALGORITHM: 'leastbusy' } }))

    expect(problem).toStartWith('environment  LOAD_BALANCER_ALGORITHM: expected one of ')
    expect(problem).toEndWith('did you mean "least_busy"?')
  })
})

describe('the kind of a server', () => {
  test('that may be named is built', () => {
    const config = configFrom({
      servers: [...PROVIDERS.keys()].map(kind => ({ id: kind, kind, base_url: 'http://a.test' })) as never,
    })

    expect(declare(config, addressOf).servers.map(server => server.id)).toEqual([...PROVIDERS.keys()])
  })

  test('that nobody knows is an error that names the nearest', async () => {
    const [problem] = await complaints(loadText('servers:\n  - { id: a, kind: olama }'))

    expect(problem).toStartWith('gateway.yaml:2:20  servers.0.kind: expected one of openai, ')
    expect(problem).toEndWith('got "olama", did you mean "ollama"?')
  })
})

test.each([
  { service: { keep_alive: '5s' } },
  { service: { drain_delay: '1s' } },
  { service: { drain_timeout: '1s' } },
  { monitoring: { metrics_endpoint: '/prom' } },
  { monitoring: { health_check_endpoint: '/up' } },
])('%j is settled at the start, so that a change of it waits for the next one', input => {
  expect(needsRestart(configFrom(), configFrom(input))).toHaveLength(1)
})

test('the display name of a model is what lists show', () => {
  const config = configFrom({
    models: { a: { endpoint: 'http://a', display_name: 'The A' }, b: { endpoint: 'http://b' } },
  })

  expect(declare(config, addressOf).models.map(model => model.displayName)).toEqual(['The A', null])
})
