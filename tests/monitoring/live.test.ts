import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { type FiringAlert, type Monitoring, startMonitoring } from '#tests/support/prometheus.ts'
import { freePorts } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { ROWS } from '../../scripts/dashboard/panels.ts'
import { ALERT_SECRET, failing, type Misbehaving, poor, pressed, slow } from './misbehaving.ts'
import { readPromql, settled } from './promql.ts'

setDefaultTimeout(90_000)

const PROVOKE_MS = 200
const RAISED_MS = 60_000

let broken: Awaited<ReturnType<typeof failing>>
let others: readonly Misbehaving[]
let monitoring: Monitoring
let provoking: Timer
let nobody = 0

beforeAll(async () => {
  ;[broken, others, [nobody = 0]] = await Promise.all([
    failing(),
    Promise.all([slow(), pressed(), poor()]),
    freePorts(1),
  ])
  const gateways = [broken, ...others]
  monitoring = await startMonitoring({
    gateways: [...gateways.map(({ address }) => address), `127.0.0.1:${nobody}`],
    webhook: { url: `${broken.url}/webhooks/alertmanager`, secret: ALERT_SECRET },
  })
  provoking = setInterval(() => {
    for (const { provoke } of gateways) provoke()
  }, PROVOKE_MS)
})

afterAll(async () => {
  clearInterval(provoking)
  for (const each of [monitoring, broken, ...others]) await each[Symbol.asyncDispose]()
})

test('gateways that misbehave raise every alert', async () => {
  const [late, tight, spender] = others.map(({ address }) => address)
  const expected: readonly FiringAlert[] = [
    { alertname: 'GatewayDown', instance: `127.0.0.1:${nobody}` },
    { alertname: 'GatewayErrors', instance: broken.address },
    { alertname: 'GatewayNoCapacity', instance: broken.address, code: 'no_healthy_upstream' },
    { alertname: 'GatewayServerDown', instance: broken.address, server: 'gone' },
    { alertname: 'GatewayBreakerOpen', instance: broken.address, server: 'gpu', model: 'test-model' },
    { alertname: 'GatewayReloadFailed', instance: broken.address },
    { alertname: 'GatewaySlow', instance: late ?? '' },
    { alertname: 'GatewayCacheHits' },
    { alertname: 'GatewayMemory', instance: tight ?? '' },
    { alertname: 'GatewayEventLoop', instance: tight ?? '' },
    { alertname: 'GatewayBudget', instance: spender ?? '', scope: 'key' },
    { alertname: 'GatewaySpoolGrowing', instance: spender ?? '' },
  ]
  const raised = new Set<FiringAlert>()

  await until('all alerts', RAISED_MS, async () => {
    const firing = await monitoring.firing()
    for (const alert of expected) if (firing.some(each => has(each, alert))) raised.add(alert)
    return raised.size === expected.length ? true : expected.filter(alert => !raised.has(alert))
  })
})

test('every panel of the dashboard shows something, but for what none of them has done', async () => {
  const silent = new Set<string>()
  for (const { expr } of ROWS.flatMap(({ panels }) => panels).flatMap(({ queries }) => queries)) {
    const question = settled(expr)
    if ((await monitoring.query(question)) > 0) continue
    for (const { name } of readPromql(question).metrics) silent.add(name)
  }

  expect([...silent].toSorted()).toEqual([
    'gateway_certificate_expires_seconds',
    'gateway_event_deliveries_total',
    'gateway_fallbacks_total',
    'gateway_hedges_total',
    'gateway_model_loads_avoided_total',
    'gateway_model_loads_total',
    'gateway_recoveries_total',
    'gateway_saved_cost_usd_total',
    'gateway_saved_tokens_total',
  ])
})

test('Alertmanager tells the gateway of its server, and when that is well again', async () => {
  const healthOf = async (server: string) => {
    const response = await fetch(`${broken.url}/orchestration/servers/${server}/health`)
    const { health_status } = (await response.json()) as { readonly health_status: string }
    return health_status
  }
  // Its probes are good all the while: it is the alert that says otherwise.
  await until('degraded', RAISED_MS, async () => (await healthOf('gpu')) === 'degraded')

  broken.mend()

  await until('healthy again', RAISED_MS, async () => (await healthOf('gpu')) === 'healthy')
  const told = /^gateway_webhooks_received_total\{(.*)$/gm
  const metrics = await (await fetch(`${broken.url}/metrics`)).text()
  expect([...metrics.matchAll(told)].map(([, line]) => line)).toEqual([expect.stringMatching(/^ok="true"\} \d/)])
})

function has(alert: FiringAlert, labels: FiringAlert): boolean {
  return Object.entries(labels).every(([name, value]) => alert[name] === value)
}
