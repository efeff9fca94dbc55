import { expect, test } from 'bun:test'
import { configFrom, createGateway, type Gateway } from '#src/index.ts'
import { startModelServer } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { startRedis } from '#tests/support/redis.ts'
import { pause } from '#tests/support/upstream.ts'

const BODY = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'Hi' }] })

function ask(gateway: Gateway): Promise<Response> {
  return gateway.fetch(new Request('http://localhost/v1/chat/completions', { method: 'POST', body: BODY }))
}

test('two gateways on one Redis send a server no more calls at once than it takes, and all are answered', async () => {
  await using redis = await startRedis()
  const answer = openAiScript()
  let now = 0
  let most = 0
  await using server = await startModelServer(async request => {
    if (!request.path.endsWith('/chat/completions')) return typeof answer === 'function' ? answer(request) : answer
    most = Math.max(most, ++now)
    await Bun.sleep(20)
    now--
    return [pause(1), typeof answer === 'function' ? await answer(request) : answer]
  })
  const gatewayWith = (queue: string) =>
    createGateway(
      configFrom({
        gateway: { demo: false, discover: false },
        limits: { enabled: false },
        timeouts: { queue },
        servers: [{ id: 'gpu', kind: 'openai_compatible', base_url: server.url, max_concurrent: 4 }],
        models: { chat: { targets: [{ server: 'gpu', model: 'test-model' }] } },
        redis: { url: redis.url, timeout: '5s' },
      }),
    )
  const [patient, hurried] = [gatewayWith('20s'), gatewayWith('0s')]
  await Promise.all([patient.found, hurried.found])

  // One that may not wait is not refused because nobody has been asked yet.
  const first = await ask(hurried)
  await first.text()
  await hurried.close()
  const other = gatewayWith('20s')
  await other.found
  const answers = await Promise.all([patient, other].flatMap(gateway => Array.from({ length: 20 }, () => ask(gateway))))
  for (const each of answers) await each.text()
  // The others have at hand what they no longer need.
  const next = gatewayWith('0s')
  await next.found
  const late = await ask(next)
  await late.text()
  await Promise.all([patient, other, next].map(gateway => gateway.close()))

  expect([first.status, late.status]).toEqual([200, 200])
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
  expect(most).toBe(4)
}, 60_000)
