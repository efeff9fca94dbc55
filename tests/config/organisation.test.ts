import { expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEnvFile } from '#config/env-file.ts'
import { loadConfig } from '#config/load.ts'
import { sharedDir } from '#tests/support/shared.ts'

const shared = sharedDir()
const fileOf = (name: string) => join(shared ?? '', 'citadel-config', name)
const envOf = async (name: string) => parseEnvFile(await readFile(fileOf(name), 'utf8'), name)

// Without the files there is nothing to say about them.
const withFiles = test.skipIf(shared === null)

withFiles('loads the file of the organisation unchanged', async () => {
  const { config } = await loadConfig({ files: [fileOf('unified-api-gateway.yaml')], env: {} })

  expect(config.service).toMatchObject({ name: 'unified-api-gateway', host: '0.0.0.0', port: 8000, workers: 4 })
  expect(Object.keys(config.models)).toEqual(['mixtral-8x7b', 'hermes-2', 'openchat-3.5', 'phi-3-mini'])
  expect(config.models['hermes-2']).toMatchObject({ weight: 0.8, max_concurrent: 20, cost_per_request: 0.05 })
  expect(config.load_balancer).toMatchObject({
    algorithm: 'round_robin',
    health_check_interval: 30_000,
    circuit_breaker_timeout: 60_000,
  })
  expect(config.monitoring).toMatchObject({ prometheus_port: 9090, log_level: 'info' })
})

withFiles('translates the performance section of the organisation', async () => {
  const { config } = await loadConfig({ files: [fileOf('unified-api-gateway.yaml')], env: {} })

  expect(config.timeouts).toMatchObject({ first_byte: 30_000, idle: 30_000, total: 600_000 })
  expect(config.limits.global).toMatchObject({ requests_per_minute: 3000, burst: 200, concurrent_requests: 100 })
  expect(config.limits.per_client.requests_per_minute).toBe(0)
  expect(config.performance).toMatchObject({ memory_limit_gb: 2, cpu_cores: 4 })
})

withFiles('warns in few lines of what the file asks for in vain', async () => {
  const { warnings } = await loadConfig({ files: [fileOf('unified-api-gateway.yaml')], env: {} })

  const sections = warnings.map(line => line.split('  ')[1]?.split('.')[0])
  expect(new Set(sections).size).toBe(sections.length)
})

withFiles('reads the same from the variables of the organisation as from its file', async () => {
  const fromFile = await loadConfig({ files: [fileOf('unified-api-gateway.yaml')], env: {} })
  const fromEnv = await loadConfig({ files: [], env: await envOf('unified-api-gateway.env') })

  for (const section of ['gateway', 'load_balancer', 'timeouts', 'limits', 'monitoring', 'performance'] as const)
    expect(fromEnv.config[section]).toEqual(fromFile.config[section])
  const endpoints = (config: typeof fromEnv.config) =>
    Object.entries(config.models).map(([name, model]) => [name, model.endpoint])
  expect(endpoints(fromEnv.config)).toEqual(expect.arrayContaining(endpoints(fromFile.config)))
})

withFiles('reads the variables that its client and its gateway share', async () => {
  const { config } = await loadConfig({ files: [], env: await envOf('gateway.env') })

  expect(config.service).toMatchObject({ host: 'localhost', port: 8000 })
  expect(config.cache).toMatchObject({ enabled: true, ttl: { chat: 3_600_000 } })
  expect(config.limits).toMatchObject({ enabled: true, per_client: { requests_per_minute: 60 } })
})

withFiles('reads both sets of variables over the file', async () => {
  const env = { ...(await envOf('gateway.env')), ...(await envOf('unified-api-gateway.env')) }

  const { config } = await loadConfig({ files: [fileOf('unified-api-gateway.yaml')], env })

  expect(config.service.host).toBe('0.0.0.0')
  expect(config.limits).toMatchObject({
    global: { requests_per_minute: 3000 },
    per_client: { requests_per_minute: 60 },
  })
})
