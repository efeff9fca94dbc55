import { describe, expect, test } from 'bun:test'
import { parseExposition } from '#tests/support/exposition.ts'
import { fastest } from '#tests/support/fastest.ts'
import {
  configOf,
  type ModelServer,
  startGateway,
  startModelServer,
  type TestGateway,
  type Tree,
} from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { rawChat } from '#tests/support/raw-chat.ts'
import { bytes, cut, type Gate, gate, hang, head, inTurn, json, type Steps, sse } from '#tests/support/upstream.ts'

/** How soon the slower server must be let go, and both when the caller has left, in milliseconds. */
const LET_GO_WITHIN_MS = 50
const LEFT_WITHIN_MS = 100
const [ROLE = '', ...REST] = chatEvents('test-model', {}, true)
const CONTENT = 'Hello there!'

/** Sends each call to a second server; how soon is for the test to say. */
const hedgingAfter = (after: number | string) => ({ enabled: true, after, max_percent: 100 })

/** An answer that comes when its gate is opened. */
function answerAt(go: Gate, stream: boolean): Steps {
  return stream ? sse([ROLE, go, ...REST]) : [go, json(200, chatCompletion('test-model'))]
}

/** How far a slow server has come when another one answers. */
const slow: readonly { readonly how: string; readonly stream: boolean; readonly script: Steps }[] = [
  { how: 'says nothing', stream: false, script: hang() },
  { how: 'says nothing', stream: true, script: hang() },
  {
    how: 'has sent half an answer',
    stream: false,
    script: [head(200, { 'content-type': 'application/json', 'content-length': '999' }), bytes('{"id"'), hang()],
  },
  { how: 'has sent half an error', stream: true, script: [head(500, { 'content-length': '99' }), bytes('{'), hang()] },
  { how: 'has sent its headers', stream: true, script: sse([hang()]) },
  { how: 'has sent a role', stream: true, script: sse([ROLE, hang()]) },
]

describe.each(slow)('a server that $how (stream: $stream)', ({ stream, script }) => {
  async function letGoAfterMs(): Promise<number> {
    const go = gate()
    await using first = await startModelServer(inTurn(script, openAiScript()))
    await using second = await startModelServer(inTurn(answerAt(go, stream), openAiScript()))
    await using gateway = await startGateway(raceBetween([first, second], 50))

    const asked = gateway.chat({ stream })
    await go.reached
    const [loser] = first.calls
    expect(loser?.closedAt).toBeNull()
    const opened = performance.now()
    go.open()
    const closedAt = await loser?.closed
    const response = await asked

    expect(loser?.closedBy).toBe('client')
    expect(answeredBy(response)).toEqual([200, 'b', '2'])
    expect(contentOf(await response.text(), stream)).toBe(CONTENT)
    await expectTold(gateway, { won: 'b', lost: 'a' })
    await expectNothingLeft(gateway)
    return Number(closedAt) - opened
  }

  test('is let go as soon as the second one has content', async () => {
    expect(await fastest(LET_GO_WITHIN_MS, letGoAfterMs)).toBeLessThan(LET_GO_WITHIN_MS)
  })
})

for (const stream of [false, true]) {
  const kind = stream ? 'stream' : 'plain'

  async function secondLetGoAfterMs(): Promise<number> {
    const go = gate()
    await using first = await startModelServer(inTurn(answerAt(go, stream), openAiScript()))
    await using second = await startModelServer(inTurn(hang(), openAiScript()))
    await using gateway = await startGateway(raceBetween([first, second], 50))

    const asked = gateway.chat({ stream })
    const loser = await second.called(1)
    await go.reached
    const opened = performance.now()
    go.open()
    const closedAt = await loser.closed
    const response = await asked

    expect(answeredBy(response)).toEqual([200, 'a', '2'])
    expect(contentOf(await response.text(), stream)).toBe(CONTENT)
    await expectTold(gateway, { won: 'a', lost: 'b' })
    await expectNothingLeft(gateway)
    return closedAt - opened
  }

  test(`a first server that is quicker after all keeps the call, and the second one is let go (${kind})`, async () => {
    expect(await fastest(LET_GO_WITHIN_MS, secondLetGoAfterMs)).toBeLessThan(LET_GO_WITHIN_MS)
  })

  test(`both are asked at once when there is nothing to wait for (${kind})`, async () => {
    const [slower, quicker] = [gate(), gate()]
    await using primary = await startModelServer(inTurn(answerAt(slower, stream), openAiScript()))
    await using backup = await startModelServer(inTurn(answerAt(quicker, stream), openAiScript()))
    await using gateway = await startGateway(raceBetween([primary, backup], 0))

    const asked = gateway.chat({ stream })
    await Promise.all([slower.reached, quicker.reached])
    quicker.open()
    const response = await asked

    expect(answeredBy(response)).toEqual([200, 'b', '2'])
    expect(contentOf(await response.text(), stream)).toBe(CONTENT)
    await primary.calls[0]?.closed
    await expectNothingLeft(gateway)
  })

  test(`when both fail another server answers (${kind})`, async () => {
    const [one, two] = [gate(), gate()]
    const broken = openAiError(503, 'no', null)
    await using first = await startModelServer([one, broken])
    await using second = await startModelServer([two, broken])
    await using third = await startModelServer(openAiScript())
    await using gateway = await startGateway(raceBetween([first, second, third], 0))

    const asked = gateway.chat({ stream })
    await Promise.all([one.reached, two.reached])
    one.open()
    two.open()
    const response = await asked

    expect(answeredBy(response)).toEqual([200, 'c', '3'])
    expect(contentOf(await response.text(), stream)).toBe(CONTENT)
    const { attempt_list: list } = await gateway.logged({ message: 'request', attempts: 3 })
    expect(list).toMatchObject(['upstream_error', 'upstream_error', 'ok'].map(result => ({ result })))
    expect(await metricOf(gateway, 'gateway_hedges_total{won="false"}')).toBe(1)
    await expectNothingLeft(gateway)
  })

  test(`when nobody can answer, the error names both, within the attempts that are allowed (${kind})`, async () => {
    const broken = openAiError(503, 'no', null)
    await using first = await startModelServer(broken)
    await using second = await startModelServer(broken)
    const config = { ...raceBetween([first, second], 0), retry: { max_attempts: 3, backoff_base: '1ms' } }
    await using gateway = await startGateway(config)

    const response = await gateway.chat({ stream })
    const { error } = await response.json()

    // Of a stream one attempt is kept back for going on.
    const servers = error.attempts.map((attempt: { readonly server: string }) => attempt.server)
    expect([response.status, error.code, servers.length]).toEqual([503, 'all_targets_failed', stream ? 2 : 3])
    expect(new Set(servers)).toEqual(new Set(['a', 'b']))
    await expectNothingLeft(gateway, 503)
  })

  async function bothClosedAfterMs(): Promise<number> {
    const [one, two] = [gate(), gate()]
    await using first = await startModelServer(inTurn(one, openAiScript()))
    await using second = await startModelServer(inTurn(two, openAiScript()))
    await using gateway = await startGateway(raceBetween([first, second], 50))

    const client = rawChat(gateway.port, { stream })
    await Promise.all([one.reached, two.reached])
    const leftAt = performance.now()
    client.socket.destroy()
    const closed = await Promise.all([first, second].map(server => server.calls[0]?.closed))

    const { attempt_list: list } = await gateway.logged({ message: 'request', outcome: 'cancelled' })
    expect(list).toMatchObject([{ result: 'client_closed_request' }, { result: 'client_closed_request' }])
    await expectNothingLeft(gateway)
    return Math.max(...closed.map(Number)) - leftAt
  }

  test(`a caller that leaves in the middle of the race closes both (${kind})`, async () => {
    expect(await fastest(LEFT_WITHIN_MS, bothClosedAfterMs)).toBeLessThan(LEFT_WITHIN_MS)
  })

  test(`what a server stores is never sent twice (${kind})`, async () => {
    await using first = await startModelServer(openAiScript())
    await using second = await startModelServer(openAiScript())
    await using gateway = await startGateway(raceBetween([first, second], 0))

    for (let n = 0; n < 4; n++) await (await gateway.chat({ stream, store: true })).text()

    expect(first.calls.length + second.calls.length).toBe(4)
    expect(await metricOf(gateway, 'gateway_hedges_total{won="true"}')).toBeUndefined()
    expect(await metricOf(gateway, 'gateway_hedges_total{won="false"}')).toBeUndefined()
  })
}

test('content counts, not headers and a role', async () => {
  const go = gate()
  await using early = await startModelServer(inTurn(sse([ROLE, hang()]), openAiScript()))
  await using late = await startModelServer(inTurn([go, sse([ROLE, ...REST])], openAiScript()))
  await using gateway = await startGateway(raceBetween([early, late], 0))

  const asked = gateway.chat({ stream: true })
  await Promise.all([early.called(1), go.reached])
  go.open()
  const response = await asked

  expect(answeredBy(response)).toEqual([200, 'b', '2'])
  expect(contentOf(await response.text(), true)).toBe(CONTENT)
})

test('an answer that breaks off goes on from the server that had lost', async () => {
  const go = gate()
  await using slower = await startModelServer(inTurn(hang(), openAiScript()))
  await using quicker = await startModelServer(sse([ROLE, ...REST.slice(0, 1), go, cut()]))
  await using gateway = await startGateway(raceBetween([slower, quicker], 50))

  const response = await gateway.chat({ stream: true })
  await go.reached
  go.open()

  expect(contentOf(await response.text(), true)).toBe(CONTENT)
  const { outcome, attempt_list: list } = await gateway.logged({ message: 'request', attempts: 3 })
  expect(outcome).toBe('recovered')
  expect(list).toMatchObject([
    { server: 'a', result: 'lost' },
    { server: 'b', result: 'upstream_error' },
    { server: 'a', result: 'ok' },
  ])
})

test('the usual time of a server is learned from its answers', async () => {
  const quick = Array.from({ length: 20 }, () => openAiScript())
  await using first = await startModelServer(inTurn(openAiScript(), ...quick.slice(1), hang()))
  await using second = await startModelServer(openAiScript())
  await using gateway = await startGateway(raceBetween([first, second], 'p95', 'explicit'))

  for (let n = 0; n < 20; n++) expect(answeredBy(await gateway.chat())).toEqual([200, 'a', '1'])

  expect(answeredBy(await gateway.chat())).toEqual([200, 'b', '2'])
})

test('no more calls are sent twice than the share allows', async () => {
  await using first = await startModelServer(openAiScript())
  await using second = await startModelServer(openAiScript())
  const config = { ...raceBetween([first, second], 0), hedging: { ...hedgingAfter(0), max_percent: 20 } }
  await using gateway = await startGateway(config)

  const attempts: (string | null)[] = []
  for (let n = 0; n < 20; n++) attempts.push((await gateway.chat()).headers.get('x-citadel-attempts'))

  expect(attempts.join('')).toBe('11112'.repeat(4))
})

test('a server without a free place is not asked, and nothing waits for it', async () => {
  const busy = gate()
  await using first = await startModelServer(openAiScript())
  await using second = await startModelServer([busy, json(200, chatCompletion('test-model'))])
  await using gateway = await startGateway(raceBetween([first, second], 0))
  const holding = gateway.chat({}, { headers: { 'x-citadel-server': 'b' } })
  await busy.reached

  expect(answeredBy(await gateway.chat())).toEqual([200, 'a', '1'])

  busy.open()
  expect(answeredBy(await holding)).toEqual([200, 'b', '1'])
})

test('a model may differ from the rest', async () => {
  await using first = await startModelServer(openAiScript())
  await using second = await startModelServer(openAiScript())
  const targets = ['a', 'b'].map(server => ({ server, model: 'test-model' }))
  const models = { chat: { targets }, calm: { targets, hedging: { enabled: false } } }
  const eager = { chat: { targets, hedging: { ...hedgingAfter(0) } }, calm: { targets } }
  await using on = await startGateway({ ...raceBetween([first, second], 0), models })
  await using off = await startGateway({ ...configOf([first, second]), models: eager })

  for (const gateway of [on, off]) {
    expect((await gateway.chat()).headers.get('x-citadel-attempts')).toBe('2')
    expect((await gateway.chat({ model: 'calm' })).headers.get('x-citadel-attempts')).toBe('1')
  }
})

test('a backup that only stands by takes part in the race', async () => {
  await using primary = await startModelServer(inTurn(hang(), openAiScript()))
  await using backup = await startModelServer(openAiScript())
  const targets = ['a', 'b'].map((server, rank) => ({ server, model: 'test-model', weight: 1 - rank }))
  await using gateway = await startGateway({
    ...configOf([primary, backup], { hedging: hedgingAfter(0) }),
    models: { chat: { targets } },
  })

  expect(answeredBy(await gateway.chat())).toEqual([200, 'b', '2'])
  await expectNothingLeft(gateway)
})

test('many races at once leave nothing behind', async () => {
  await using first = await startModelServer(openAiScript())
  await using second = await startModelServer(openAiScript())
  const config = configOf([first, second], { hedging: hedgingAfter(0), retry: { budget_percent: 100 } })
  await using gateway = await startGateway(config)

  const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => gateway.chat({ stream: n % 2 === 0 })))
  const texts = await Promise.all(answers.map(response => response.text()))

  expect(texts.map((text, n) => contentOf(text, n % 2 === 0))).toEqual(Array(60).fill(CONTENT))
  expect(answers.map(response => response.headers.get('x-citadel-attempts'))).toEqual(Array(60).fill('2'))
  expect(await inFlightOf(gateway)).toEqual([0, 0])
  await gateway.gateway.close()
  await Promise.all([first.allClosed(), second.allClosed()])
})

/** Servers with one place each, so that one that was not given back is missed, and a race for each call of `chat`. */
function raceBetween(servers: readonly ModelServer[], after: number | string, algorithm = 'explicit'): Tree {
  const config = configOf(servers, { hedging: hedgingAfter(after), load_balancer: { algorithm } })
  const list = config.servers as readonly object[]
  return { ...config, servers: list.map(server => ({ ...server, max_concurrent: 1 })) }
}

function answeredBy({ status, headers }: Response): (number | string | null)[] {
  return [status, headers.get('x-citadel-server'), headers.get('x-citadel-attempts')]
}

function contentOf(text: string, stream: boolean): string {
  if (!stream) return JSON.parse(text).choices[0].message.content
  const events = text.split('\n\n').filter(event => event.startsWith('data: {'))
  const deltas = events.map(event => JSON.parse(event.slice('data: '.length)).choices[0]?.delta.content ?? '')
  return `${deltas.join('')}${text.endsWith('data: [DONE]\n\n') ? '' : ' (cut)'}`
}

/** What the log, the report and the metrics say of the one call that was made. */
async function expectTold(gateway: TestGateway, { won, lost }: { readonly won: string; readonly lost: string }) {
  const line = await gateway.logged({ message: 'request', outcome: 'ok' })
  const report = await (await fetch(`${gateway.url}/v1/requests/${line.request_id}`)).json()
  const results = (list: readonly { readonly server: string; readonly result: string }[]) =>
    Object.fromEntries(list.map(({ server, result }) => [server, result]))

  expect(line).toMatchObject({ attempts: 2, server: won, tokens_in: 7, tokens_out: 3, estimated: false })
  expect(results(line.attempt_list as never)).toEqual({ [won]: 'ok', [lost]: 'lost' })
  expect(results(report.attempts)).toEqual({ [won]: 'ok', [lost]: 'lost' })
  expect(await metricOf(gateway, `gateway_hedges_total{won="${won === 'b'}"}`)).toBe(1)
  expect(await metricOf(gateway, `gateway_attempts_total{server="${lost}",result="lost"}`)).toBe(1)
  expect(await metricOf(gateway, `gateway_breaker_state{server="${lost}",model="test-model"}`)).toBe(0)
  expect(await metricOf(gateway, `gateway_tokens_total{server="${won}",model="chat",type="output"}`)).toBe(3)
}

async function expectNothingLeft(gateway: TestGateway, next = 200): Promise<void> {
  expect((await inFlightOf(gateway)).every(count => count === 0)).toBe(true)
  expect(await metricOf(gateway, 'gateway_streams_active')).toBe(0)
  expect((await gateway.chat()).status).toBe(next)
}

async function metricOf(gateway: TestGateway, name: string): Promise<number | undefined> {
  return parseExposition(await (await fetch(`${gateway.url}/metrics`)).text()).get(name)
}

async function inFlightOf(gateway: TestGateway): Promise<number[]> {
  const { servers } = await (await fetch(`${gateway.url}/health/detailed`)).json()
  return servers.map((server: { readonly in_flight: number }) => server.in_flight)
}
