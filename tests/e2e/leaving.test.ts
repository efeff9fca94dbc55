import { expect, test } from 'bun:test'
import { parseExposition } from '#tests/support/exposition.ts'
import { fastest } from '#tests/support/fastest.ts'
import { configOf, type ModelServer, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { chatCompletion, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { rawChat } from '#tests/support/raw-chat.ts'
import { type RawClient, rawClient } from '#tests/support/raw-client.ts'
import { eventLoopTurn } from '#tests/support/socket-reads.ts'
import { bytes, chunk, type Gate, gate, hang, head, inTurn, type Steps, sse } from '#tests/support/upstream.ts'

/** How soon the upstream must be closed after its caller has left, in milliseconds. */
const CLOSED_WITHIN_MS = 100
const WHOLE = JSON.stringify(chatCompletion('test-model'))

interface Phase {
  readonly when: string
  readonly stream: boolean
  /** Ends at the gate at which the server stands when its caller leaves. */
  readonly script: (end: Gate) => Steps
  /** What the caller has read when it leaves. */
  readonly read?: string
}

const role = chunkOf({ role: 'assistant', content: '' })

const phases: readonly Phase[] = [
  { when: 'before the headers of a plain answer', stream: false, script: end => end },
  { when: 'before the headers of a stream', stream: true, script: end => end },
  { when: 'after the headers, before the first event', stream: true, script: end => sse([end]) },
  { when: 'while only the role has come', stream: true, script: end => sse([role, end]) },
  {
    when: 'in the middle of a stream',
    stream: true,
    script: end => sse([role, chunkOf({ content: 'One' }), end]),
    read: 'One',
  },
  {
    when: 'in the middle of an event',
    stream: true,
    script: end => sse([chunkOf({ content: 'One' }), chunk('data: {"id":'), end]),
    read: 'One',
  },
  {
    when: 'when half of a plain answer has come',
    stream: false,
    script: end => [
      head(200, { 'content-type': 'application/json', 'content-length': String(WHOLE.length) }),
      bytes(WHOLE.slice(0, 100)),
      end,
    ],
  },
  {
    when: 'when half of a plain answer of unknown length has come',
    stream: false,
    script: end => [
      head(200, { 'content-type': 'application/json', connection: 'close' }),
      bytes(WHOLE.slice(0, 100)),
      end,
    ],
  },
  {
    when: 'when half of an error has come',
    stream: false,
    script: end => [head(500, { 'content-type': 'application/json', 'content-length': '500' }), bytes('{"error"'), end],
  },
]

for (const { when, stream, script, read } of phases) {
  async function closedAfter(): Promise<number> {
    const end = gate()
    await using server = await startModelServer(inTurn(script(end), openAiScript()), { reads: 'confirmed' })
    await using gateway = await startGateway(oneAtATime([server]))

    const client = rawChat(gateway.port, { stream })
    await end.reached
    if (read !== undefined) await client.until(text => text.includes(read))
    const asked = await server.called(1)
    const closedAfterMs = await leave(client, asked)

    expect(asked.closedBy).toBe('client')
    await expectNothingLeft(gateway, { outcome: 'cancelled', code: 'client_closed_request', stream })
    return closedAfterMs
  }

  test(`a caller that leaves ${when} closes its upstream at once`, async () => {
    expect(await fastest(CLOSED_WITHIN_MS, closedAfter)).toBeLessThan(CLOSED_WITHIN_MS)
  })
}

for (const framing of [
  'content-length: 100\r\n\r\n{',
  'transfer-encoding: chunked\r\n\r\n1\r\n{\r\n',
  'content-encoding: gzip\r\ncontent-length: 100\r\n\r\n\u001f',
]) {
  test(`a caller that leaves while it sends its body (${framing.split(':')[0]}) reaches no server`, async () => {
    await using server = await startModelServer(openAiScript())
    await using gateway = await startGateway(oneAtATime([server]))

    const client = rawClient(gateway.port, `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n${framing}`)
    await requestsReach(gateway, 2)
    client.socket.destroy()

    await expectNothingLeft(gateway, { outcome: 'cancelled', code: 'client_closed_request' })
    expect(server.calls).toHaveLength(1)
  })
}

test('a caller that still sends its body when the gateway ends is told', async () => {
  await using server = await startModelServer(openAiScript())
  await using gateway = await startGateway(configOf([server]))
  const client = rawClient(
    gateway.port,
    'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{',
  )
  const isIn = async () => (await gateway.gateway.metrics()).text.includes('http_requests_in_flight 1')
  while (!(await isIn())) await eventLoopTurn()

  gateway.gateway.abort()
  const text = await Promise.race([client.until(all => all.includes('"code"')), client.ended])

  expect(text).toStartWith('HTTP/1.1 503 ')
  expect(text).toContain('"server_shutting_down"')
  await gateway.gateway.idle()
})

for (const stream of [false, true]) {
  async function secondClosedAfter(): Promise<number> {
    await using first = await startModelServer(inTurn(openAiError(500, 'broken', null), openAiScript()))
    await using second = await startModelServer(inTurn(hang(), openAiScript()))
    await using gateway = await startGateway(oneAtATime([first, second]))

    const client = rawChat(gateway.port, { stream })
    const asked = await second.called(1)
    const closedAfterMs = await leave(client, asked)

    expect(first.calls).toHaveLength(1)
    await expectNothingLeft(gateway, { outcome: 'cancelled', attempts: 2 })
    return closedAfterMs
  }

  test(`a caller that leaves during the second attempt of a ${stream ? 'stream' : 'plain call'} closes that one`, async () => {
    expect(await fastest(CLOSED_WITHIN_MS, secondClosedAfter)).toBeLessThan(CLOSED_WITHIN_MS)
  })
}

async function heldBackClosedAfter(): Promise<number> {
  await using server = await startModelServer(inTurn(flood(64), openAiScript()))
  await using gateway = await startGateway(oneAtATime([server]))

  const client = rawChat(gateway.port, { stream: true })
  const asked = await server.called(1)
  client.socket.pause()
  const played = await Promise.race([asked.played.then(() => true), Bun.sleep(1000).then(() => false)])
  const closedAfterMs = await leave(client, asked)

  expect(played).toBe(false)
  expect(asked.written).toBeLessThan(48_000_000)
  await expectNothingLeft(gateway, { outcome: 'cancelled', stream: true })
  return closedAfterMs
}

test('a caller that had stopped reading holds the upstream back, and closes it when it leaves', async () => {
  expect(await fastest(CLOSED_WITHIN_MS, heldBackClosedAfter)).toBeLessThan(CLOSED_WITHIN_MS)
}, 20_000)

test('a caller that has stopped reading holds no place any more when its time is over', async () => {
  await using server = await startModelServer(inTurn(flood(64), openAiScript()))
  await using gateway = await startGateway({ ...oneAtATime([server]), timeouts: { queue: '4s' } })
  const client = rawChat(gateway.port, { stream: true }, 'x-citadel-timeout-ms: 300\r\n')
  await server.called(1)
  client.socket.pause()

  const next = await gateway.chat()

  expect(next.status).toBe(200)
  client.socket.resume()
  expect(await client.until(text => text.includes('"error"'))).toContain('"deadline_exceeded"')
}, 20_000)

test.each([false, true])(
  'a caller pays for the prompt when its own time is over, as if it had left (stream: %p)',
  async stream => {
    await using server = await startModelServer(hang())
    await using gateway = await startGateway(configOf([server]))

    const answer = await gateway.chat({ stream }, { headers: { 'x-citadel-timeout-ms': '50' } })

    expect(answer.status).toBe(504)
    expect(await gateway.logged({ code: 'deadline_exceeded' })).toMatchObject({
      ...{ outcome: 'failed', server: 'a', tokens_in: 1, tokens_out: 0, estimated: true },
    })
  },
)

test('many callers that leave at once leave nothing behind', async () => {
  await using server = await startModelServer(sse([chunkOf({ content: 'One' }), hang()]))
  await using gateway = await startGateway(configOf([server]))

  const clients = Array.from({ length: 50 }, () => rawChat(gateway.port, { stream: true }))
  await Promise.all(clients.map(client => client.until(text => text.includes('One'))))
  for (const client of clients) client.socket.destroy()
  await Promise.all(server.calls.map(asked => asked.closed))

  expect(await statesOf(gateway)).toEqual({ inFlight: [0], requests: 1, streams: 0 })
})

function chunkOf(delta: object, finish_reason: string | null = null): object {
  const choices = [{ index: 0, delta, finish_reason }]
  return { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'test-model', choices }
}

/** More megabytes of answer than any buffer on the way takes. */
function flood(megabytes: number): Steps {
  const delta = chunkOf({ content: 'x'.repeat(1_000_000) })
  return sse([chunkOf({ role: 'assistant', content: '' }), ...Array.from({ length: megabytes }, () => delta)])
}

/** Each server takes one call at a time, so that a place that was not given back is seen by the next call. */
function oneAtATime(servers: readonly ModelServer[]) {
  const config = configOf(servers)
  const list = config.servers as readonly object[]
  return { ...config, servers: list.map(server => ({ ...server, max_concurrent: 1 })) }
}

/** @returns Milliseconds from the caller's leaving to the end of the upstream connection. */
async function leave(client: RawClient, asked: { readonly closed: Promise<number> }): Promise<number> {
  const leftAt = performance.now()
  client.socket.destroy()
  return (await asked.closed) - leftAt
}

async function expectNothingLeft(gateway: TestGateway, line: Readonly<Record<string, unknown>>): Promise<void> {
  const logged = await gateway.logged(line)
  const states = await statesOf(gateway)
  const next = await gateway.chat()

  expect(gateway.lines.filter(each => each.request_id === logged.request_id)).toHaveLength(1)
  expect(states.inFlight.every(count => count === 0)).toBe(true)
  expect(states.requests).toBe(1)
  expect(states.streams).toBe(0)
  expect(next.status).toBe(200)
}

/** Asks until so many requests are under way, the question itself being one. */
async function requestsReach(gateway: TestGateway, count: number): Promise<void> {
  while ((await statesOf(gateway)).requests !== count);
}

/** What the gateway says of the calls that are under way; the question itself is one of its requests. */
async function statesOf(gateway: TestGateway) {
  const health = await (await fetch(`${gateway.url}/health/detailed`)).json()
  const metrics = parseExposition(await (await fetch(`${gateway.url}/metrics`)).text())
  const { servers } = health as { readonly servers: readonly { readonly in_flight: number }[] }
  return {
    inFlight: servers.map(server => server.in_flight),
    requests: metrics.get('http_requests_in_flight'),
    streams: metrics.get('gateway_streams_active'),
  }
}
