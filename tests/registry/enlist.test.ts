import { expect, test } from 'bun:test'
import { startEnlisting } from '#registry/enlist.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import type { Registration } from '#wire/orchestration.ts'

const advertised = (hostname: string): Registration => ({
  server_info: {
    id: hostname,
    hostname,
    port: 8000,
    scheme: 'http',
    role: 'api-gateway',
    capabilities: [],
    services: [],
    models: null,
    weight: 1,
    max_concurrent: 0,
    credential: null,
  },
  health_endpoint: '/health',
  models_endpoint: '/v1/models',
  metrics_endpoint: '/metrics',
})

function setup(...urls: readonly string[]) {
  const clock = fakeClock()
  const now = { urls, hostname: 'before' }
  const told: string[] = []
  const answers: ((status: number) => void)[] = []
  const enlisting = startEnlisting({
    clock,
    gateways: () => now.urls.map(url => ({ url, api_key: null })),
    self: () => advertised(now.hostname),
    post(url, _headers, body) {
      told.push(`${new URL(url).hostname} ${JSON.parse(body).server_info.hostname}`)
      return new Promise(resolve => answers.push(resolve))
    },
    onChange() {},
  })
  clock.advance(0)
  return { clock, now, told, answers, enlisting }
}

test('what a reload has replaced is told to nobody any more, however late the gateway before answers', async () => {
  const { clock, now, told, answers, enlisting } = setup('http://slow.test', 'http://other.test', 'http://gone.test')

  now.urls = ['http://other.test']
  now.hostname = 'after'
  enlisting.again()
  clock.advance(0)
  for (const answer of answers) answer(503)
  await settled()

  expect(told).toEqual(['slow.test before', 'other.test after'])
})

test('a gateway that has stopped registers nowhere any more', async () => {
  const { told, answers, enlisting } = setup('http://slow.test', 'http://other.test')

  enlisting.stop()
  answers[0]?.(201)
  await settled()

  expect(told).toEqual(['slow.test before'])
})
