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

test('registers with each gateway every 30 seconds, five after one that did not take it, and tells changes alone', async () => {
  const clock = fakeClock()
  const sent: string[] = []
  const changes: string[] = []
  const answers: (number | null)[] = [201, 503, 201, null, 201, 201, 200, 299]
  let self: Registration | null = null
  const enlisting = startEnlisting({
    clock,
    gateways: () => [
      { url: 'http://a.test/', api_key: 'secret' },
      { url: 'http://b.test', api_key: null },
    ],
    self: () => self,
    async post(url, { authorization = 'no key' }) {
      sent.push(`${clock.now() / 1000} s, ${url}, ${authorization}`)
      const status = answers.shift() ?? null
      if (status === null) throw new Error('nobody answers')
      return status
    },
    onChange: (url, problem) => changes.push(`${url}: ${problem}`),
  })
  for (let seconds = 0; seconds <= 46; seconds++) {
    clock.advance(seconds === 0 ? 0 : 1000)
    await settled(1)
    // It is not known before that where it can be reached itself.
    if (seconds === 4) self = advertised('self')
  }
  enlisting.stop()
  clock.advance(60_000)
  await settled()

  const [a, b] = ['http://a.test', 'http://b.test'].map(url => `${url}/orchestration/servers/register`)
  expect(sent).toEqual([5, 10, 15, 45].flatMap(at => [`${at} s, ${a}, Bearer secret`, `${at} s, ${b}, no key`]))
  expect(changes).toEqual([
    'http://a.test/: null',
    'http://b.test: it answers HTTP 503',
    'http://b.test: it cannot be reached',
    'http://b.test: null',
  ])
})
