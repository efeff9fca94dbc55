import { expect, test } from 'bun:test'
import { configFrom } from '#src/index.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { configOf, type ModelServer, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { until } from '#tests/support/until.ts'
import { gate, inTurn, json, sse } from '#tests/support/upstream.ts'

const WHOLE = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'test-model',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
}

/** A server that answers each call when its gate opens. */
async function startSlowServer(calls: number) {
  const gates = Array.from({ length: calls }, gate)
  const server = await startModelServer(({ index }) => [gates[index] ?? gate(), json(200, WHOLE)])
  return {
    server,
    open: (index: number) => gates[index]?.open(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** One call at once, and everybody may wait. */
function narrow(server: ModelServer, more: Tree = {}): Tree {
  const config = configOf([server])
  const [only] = config.servers as readonly object[]
  return { ...config, servers: [{ ...only, max_concurrent: 1 }], ...more }
}

function depthOf(gateway: Awaited<ReturnType<typeof startGateway>>): Promise<string> {
  return gateway.gateway.metrics().then(({ text }) => /^gateway_queue_depth (\d+)$/m.exec(text)?.[1] ?? 'none')
}

async function untilDepth(gateway: Awaited<ReturnType<typeof startGateway>>, depth: number): Promise<void> {
  while ((await depthOf(gateway)) !== String(depth)) await Bun.sleep(5)
}

test('a call waits for its place, is answered, and says how long it waited', async () => {
  await using slow = await startSlowServer(2)
  await using gateway = await startGateway(narrow(slow.server))

  const running = gateway.chat()
  await slow.server.called(1)
  const waiting = gateway.chat()
  await untilDepth(gateway, 1)
  slow.open(0)
  slow.open(1)
  const answers = await Promise.all([running, waiting])

  expect(answers.map(({ status }) => status)).toEqual([200, 200])
  while (gateway.lines.filter(line => line.message === 'request').length < 2) await Bun.sleep(5)
  const waits = gateway.lines.filter(line => line.message === 'request').map(line => line.queue_ms)
  expect(waits).toEqual([undefined, expect.any(Number)])
  const reported = answers.map(async ({ headers }) => {
    const report = await fetch(`${gateway.url}/v1/requests/${headers.get('x-request-id')}`)
    return ((await report.json()) as { readonly timings: { readonly queue_ms: number } }).timings.queue_ms
  })
  expect(await Promise.all(reported)).toEqual([0, expect.closeTo(Number(waits[1]), 1)])
})

test('the wait for a place is not called the work of the gateway', async () => {
  await using slow = await startSlowServer(2)
  await using gateway = await startGateway(narrow(slow.server, { gateway: { headers: 'full' } }))

  const running = gateway.chat()
  await slow.server.called(1)
  const waiting = gateway.chat()
  await untilDepth(gateway, 1)
  const since = performance.now()
  await until('it has waited for long enough to tell', 10_000, () => performance.now() - since > 200)
  slow.open(0)
  slow.open(1)
  const [, { headers }] = await Promise.all([running, waiting])

  const [, own, queue] = /^gateway;dur=([\d.]+), queue;dur=([\d.]+), upstream;dur=/.exec(
    headers.get('server-timing') ?? '',
  ) ?? ['', '', '']
  expect(Number(queue)).toBeGreaterThan(200)
  expect(Number(own)).toBeLessThan(200)
  expect(Number(headers.get('x-citadel-overhead-ms'))).toBeLessThan(200)
})

test('a call that waits is not sent to a server that has just asked to be left alone', async () => {
  const refusal = gate()
  const limiting = [refusal, openAiError(429, 'slow down', null, { 'retry-after': '30' })]
  await using limited = await startModelServer(limiting)
  await using slow = await startSlowServer(2)
  const { servers, ...rest } = configOf([limited, slow.server], { retry: { max_attempts: 1 } })
  const narrowed = (servers as readonly object[]).map(each => ({ ...each, max_concurrent: 1 }))
  await using gateway = await startGateway({ ...rest, servers: narrowed })

  const refused = gateway.chat()
  const running = gateway.chat()
  await Promise.all([limited.called(1), slow.server.called(1)])
  const waiting = gateway.chat()
  await untilDepth(gateway, 1)
  refusal.open()
  expect((await refused).status).toBe(429)
  slow.open(0)
  slow.open(1)
  const answers = await Promise.all([running, waiting])

  expect(answers.map(({ status }) => status)).toEqual([200, 200])
  expect(limited.calls).toHaveLength(1)
})

test('a call that waits does not get the place of a stream that opens the breaker', async () => {
  const failing = gate()
  const broken = sse([failing, { error: { message: 'out of memory', type: 'server_error', code: null } }])
  await using server = await startModelServer(inTurn(broken, openAiScript()))
  const breaker = { circuit_breaker_threshold: 1, circuit_breaker_timeout: '300ms' }
  const config = narrow(server, { retry: { max_attempts: 1 }, load_balancer: breaker })
  await using gateway = await startGateway(config)

  const failed = gateway.chat({ stream: true })
  await server.called(1)
  const waiting = gateway.chat()
  await untilDepth(gateway, 1)
  failing.open()

  expect((await failed).status).toBe(503)
  expect((await waiting).status).toBe(200)
})

test('a call that waits goes to a server that comes back, though that was out when the call came', async () => {
  const limiting = [openAiError(429, 'slow down', null, { 'retry-after-ms': '300' })]
  await using limited = await startModelServer(inTurn(limiting, openAiScript()))
  await using slow = await startSlowServer(1)
  const { servers, ...rest } = configOf([limited, slow.server], { retry: { max_attempts: 1 } })
  const narrowed = (servers as readonly object[]).map(each => ({ ...each, max_concurrent: 1 }))
  await using gateway = await startGateway({ ...rest, servers: narrowed })

  const refused = gateway.chat()
  const running = gateway.chat()
  await slow.server.called(1)
  expect((await refused).status).toBe(429)
  const answer = await gateway.chat()
  slow.open(0)

  expect([answer.status, answer.headers.get('x-citadel-server')]).toEqual([200, 'a'])
  expect((await running).status).toBe(200)
})

test('who waits too long is told when to come again', async () => {
  await using slow = await startSlowServer(1)
  await using gateway = await startGateway(narrow(slow.server, { timeouts: { queue: '50ms' } }))

  const running = gateway.chat()
  await slow.server.called(1)
  const refused = await gateway.chat()
  slow.open(0)

  expect([refused.status, (await refused.json()).error.code]).toEqual([429, 'queue_timeout'])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect((await running).status).toBe(200)
})

test('who has to wait again before any attempt waits no longer in all', async () => {
  await using busy = await startSlowServer(1)
  await using spare = await startSlowServer(1)
  const clock = fakeClock()
  const at = (id: string, { url }: ModelServer) => ({ id, kind: 'openai_compatible', base_url: url, max_concurrent: 1 })
  await using gateway = await startGateway(
    {
      servers: [at('a', busy.server), at('b', spare.server)],
      models: {
        chat: { targets: [{ server: 'a', model: 'm' }], fallbacks: ['spare'] },
        spare: { targets: [{ server: 'b', model: 'm' }] },
      },
      limits: { per_model: { spare: { requests_per_minute: 1 } } },
      timeouts: { queue: '1s' },
    },
    { clock },
  )
  const running = [gateway.chat(), gateway.chat({ model: 'spare' })]
  await Promise.all([busy.server.called(1), spare.server.called(1)])
  const waiting = gateway.chat()
  await untilDepth(gateway, 1)

  clock.advance(900)
  spare.open(0)
  await (await running[1])?.text()
  await untilDepth(gateway, 1)
  clock.advance(100)
  const refused = await waiting
  busy.open(0)
  await Promise.all(running)

  expect([refused.status, (await refused.json()).error.code]).toEqual([429, 'queue_timeout'])
})

test('a client that leaves is never sent to the server, and the next one is', async () => {
  await using slow = await startSlowServer(2)
  await using gateway = await startGateway(narrow(slow.server))
  const leaving = new AbortController()

  const running = gateway.chat()
  await slow.server.called(1)
  const gone = gateway.chat({ user: 'gone' }, { signal: leaving.signal }).catch(() => null)
  await untilDepth(gateway, 1)
  const next = gateway.chat({ user: 'next' })
  await untilDepth(gateway, 2)
  leaving.abort()
  await untilDepth(gateway, 1)
  slow.open(0)
  slow.open(1)
  await Promise.all([running, gone, next])

  expect(slow.server.calls.map(call => (call.json() as { user?: string }).user)).toEqual([undefined, 'next'])
})

test('a higher priority is served first, up to what the key allows', async () => {
  await using slow = await startSlowServer(4)
  const keys = [
    { name: 'usual', key: 'sk-usual-0123456789' },
    { name: 'best', key: 'sk-best-01234567890', max_priority: 'critical' },
  ]
  await using gateway = await startGateway(narrow(slow.server, { auth: { keys } }))
  const ask = (user: string, key: string, priority: string) =>
    gateway.chat({ user }, { headers: { authorization: `Bearer ${key}`, 'x-citadel-priority': priority } })

  const answers = [ask('first', 'sk-usual-0123456789', 'normal')]
  await slow.server.called(1)
  for (const [user, key, priority] of [
    ['low', 'sk-best-01234567890', 'low'],
    ['capped', 'sk-usual-0123456789', 'critical'],
    ['critical', 'sk-best-01234567890', 'critical'],
  ] as const) {
    answers.push(ask(user, key, priority))
    await untilDepth(gateway, answers.length - 1)
  }
  for (const index of [0, 1, 2, 3]) slow.open(index)
  await Promise.all(answers)

  const order = slow.server.calls.map(call => (call.json() as { user?: string }).user)
  expect(order).toEqual(['first', 'critical', 'capped', 'low'])
})

test('a priority that does not exist is refused', async () => {
  await using slow = await startSlowServer(1)
  await using gateway = await startGateway(narrow(slow.server))

  const refused = await gateway.chat({}, { headers: { 'x-citadel-priority': 'highest' } })

  expect([refused.status, (await refused.json()).error.param]).toEqual([400, 'x-citadel-priority'])
})

/** The same server with so many places, as a reload takes it. */
function places(server: ModelServer, count: number): Tree {
  const { servers, ...rest } = narrow(server)
  return { ...rest, servers: (servers as readonly object[]).map(each => ({ ...each, max_concurrent: count })) }
}

test('who waits is let in when a reload brings places', async () => {
  await using slow = await startSlowServer(3)
  await using gateway = await startGateway(places(slow.server, 1))

  const running = gateway.chat()
  await slow.server.called(1)
  const waiting = [gateway.chat(), gateway.chat()]
  await untilDepth(gateway, 2)
  gateway.gateway.reload(configFrom({ limits: { enabled: false }, ...places(slow.server, 3) }))
  await slow.server.called(3)
  for (const index of [0, 1, 2]) slow.open(index)
  const answers = await Promise.all([running, ...waiting])

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
})

test('who waits keeps to the fewer places that a reload leaves', async () => {
  await using slow = await startSlowServer(3)
  await using gateway = await startGateway(places(slow.server, 2))

  const first = gateway.chat()
  await slow.server.called(1)
  const second = gateway.chat()
  await slow.server.called(2)
  const waiting = gateway.chat()
  await untilDepth(gateway, 1)
  gateway.gateway.reload(configFrom({ limits: { enabled: false }, ...places(slow.server, 1) }))
  slow.open(0)
  await first
  const depth = await depthOf(gateway)
  slow.open(1)
  slow.open(2)
  const answers = await Promise.all([second, waiting])

  expect(depth).toBe('1')
  expect(answers.map(({ status }) => status)).toEqual([200, 200])
})

test.each(['is removed', 'has moved'])('who waits is not sent to a server that was out and %s since', async how => {
  await using limited = await startModelServer(openAiError(429, 'slow down', null, { 'retry-after': '60' }))
  await using slow = await startSlowServer(2)
  const { servers, ...rest } = configOf([limited, slow.server], { retry: { max_attempts: 1 } })
  const [first, second] = (servers as readonly object[]).map(each => ({ ...each, max_concurrent: 1 }))
  const removed: Tree = { servers: [second], models: { chat: { targets: [{ server: 'b', model: 'test-model' }] } } }
  const moved: Tree = { ...rest, servers: [{ ...first, base_url: 'http://127.0.0.1:9/v1' }, second] }
  await using gateway = await startGateway({ ...rest, servers: [first, second] })

  const refused = gateway.chat()
  const running = gateway.chat()
  await slow.server.called(1)
  expect((await refused).status).toBe(429)
  const waiting = gateway.chat()
  await untilDepth(gateway, 1)
  gateway.gateway.reload(configFrom({ limits: { enabled: false }, ...(how === 'is removed' ? removed : moved) }))
  const since = performance.now()
  await until('the queue was looked at again', 10_000, () => performance.now() - since > 300)
  slow.open(0)
  slow.open(1)
  const answers = await Promise.all([running, waiting])

  expect(answers.map(({ status }) => status)).toEqual([200, 200])
  expect(limited.calls).toHaveLength(1)
})
