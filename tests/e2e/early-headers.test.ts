import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { type FakeClock, fakeClock, settled } from '#tests/support/clock.ts'
import { connectionFrom } from '#tests/support/connection.ts'
import { parseExposition } from '#tests/support/exposition.ts'
import { fastest } from '#tests/support/fastest.ts'
import {
  callBody,
  configOf,
  type LogLine,
  type ModelServer,
  startGateway,
  startModelServer,
  type TestGateway,
  type Tree,
} from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { isOver, lastEvent } from '#tests/support/raw-chat.ts'
import { type RawClient, rawClient } from '#tests/support/raw-client.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { cut, gate, hang, html, inTurn, json, reset, type Script, type Steps, sse } from '#tests/support/upstream.ts'

const WAIT_MS = 2000
/** The promise about the model server, in milliseconds. */
const CLOSED_WITHIN_MS = 100
const EVENTS = chatEvents('test-model')
const [ROLE = '', ONE = ''] = EVENTS
const PING = ': ping\n\n'
const ADMIN = 'gw-admin-0123456789abcdef'

describe('a stream that nobody has begun to answer within the wait', () => {
  test('is answered with its headers and a comment, then one after each silence, then as ever', async () => {
    const first = gate()
    await using at = await early(sse([first, ...EVENTS]))

    const client = at.stream()
    await first.reached
    at.clock.advance(WAIT_MS - 100)
    await settled()
    const before = client.text()
    at.clock.advance(100)
    const begun = await client.until(text => text.includes(PING))
    at.clock.advance(15_000)
    await client.until(text => text.split(PING).length === 3)
    at.clock.advance(15_000)
    await client.until(text => text.split(PING).length === 4)
    first.open()
    const text = await client.until(isOver)

    expect(before).toBe('')
    expect(begun).toStartWith('HTTP/1.1 200 OK\r\n')
    expect(bodyOf(begun)).toBe(PING)
    expect(begun).toContain('text/event-stream')
    expect(begun.toLowerCase()).toContain('x-request-id: ')
    // Nobody knows them yet.
    expect(begun.toLowerCase()).not.toMatch(/x-citadel-(?:model|server|attempts|cache)/)
    expect(bodyOf(text)).toBe(PING.repeat(3) + eventsText(EVENTS))
    expect(await at.logged({ outcome: 'ok' })).toMatchObject({
      status: 200,
      model: 'chat',
      server: 'a',
      stream: true,
    })
  })

  test('is silent until the model answers where it is off', async () => {
    const first = gate()
    await using at = await early(sse([first, ...EVENTS]), { streams: { early_headers: null } })

    const client = at.stream()
    await first.reached
    at.clock.advance(60_000)
    await settled()
    const before = client.text()
    first.open()
    const text = await client.until(isOver)

    expect(before).toBe('')
    expect(text).toContain('x-citadel-server: a')
    expect(bodyOf(text)).toBe(eventsText(EVENTS))
  })

  test('is no different where the answer comes in time', async () => {
    await using at = await early(openAiScript())

    const text = await at.stream().until(isOver)
    at.clock.advance(WAIT_MS)

    expect(text).toContain('x-citadel-server: a')
    expect(bodyOf(text)).toBe(eventsText(EVENTS))
  })

  test('leaves a plain call alone', async () => {
    const first = gate()
    await using at = await early([first, json(200, chatCompletion('test-model'))])

    const client = at.stream({ stream: false })
    await first.reached
    at.clock.advance(60_000)
    await settled()
    const before = client.text()
    first.open()

    expect(before).toBe('')
    expect(await client.until(text => text.includes('Hello there!'))).toContain('x-citadel-server: a')
  })

  test('is answered at the older endpoint too', async () => {
    const first = gate()
    const events = [{ choices: [{ index: 0, text: 'Hi', finish_reason: 'stop' }] }, '[DONE]']
    await using at = await early(sse([first, ...events]))

    const client = at.stream({ prompt: 'Hi', messages: undefined }, '/v1/completions')
    await first.reached
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    first.open()

    expect(await client.until(isOver)).toContain('data: [DONE]')
  })

  test('counts its wait for a place', async () => {
    const first = gate()
    await using at = await early(inTurn(sse([ROLE, ONE, first, ...EVENTS.slice(2)]), openAiScript()), {
      servers: [{ max_concurrent: 1 }],
      timeouts: { queue: '60s' },
    })

    const busy = at.stream()
    await busy.until(text => text.includes('Hello'))
    const client = at.stream()
    await until('it waits', 5000, async () => (await at.metric('gateway_queue_depth')) === 1)
    at.clock.advance(WAIT_MS)
    const begun = await client.until(text => text.includes(PING))
    first.open()
    await busy.until(isOver)

    expect(bodyOf(begun)).toBe(PING)
    expect(bodyOf(await client.until(isOver))).toBe(PING + eventsText(EVENTS))
    expect(at.server.calls).toHaveLength(2)
  })
})

describe('behind early headers', () => {
  const failures: readonly (readonly [name: string, steps: Steps])[] = [
    ['an error status', openAiError(500, 'broken', null)],
    ['a page', html()],
    ['a reset', reset()],
    ['a cut', cut()],
    ['an error as the first event', sse([{ error: { message: 'no', code: 500 } }])],
    ['an error behind the role', sse([ROLE, { error: { message: 'no', code: 500 } }])],
  ]

  test.each(failures)('%s still fails over', async (_, steps) => {
    const first = gate()
    await using second = await startModelServer(openAiScript())
    await using at = await early([first, steps], { second })

    const client = at.stream()
    await first.reached
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    first.open()
    const text = await client.until(isOver)

    expect(bodyOf(text)).toBe(PING + eventsText(EVENTS))
    expect(await at.logged({ outcome: 'ok' })).toMatchObject({ status: 200, server: 'b', attempts: 2 })
  })

  test('silence still fails over, when the clock of the first token has run out', async () => {
    await using second = await startModelServer(openAiScript())
    await using at = await early(hang(), { second, timeouts: { first_byte: '30s', first_token: '30s' } })

    const client = at.stream()
    await at.server.called(1)
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    at.clock.advance(30_000)

    expect(bodyOf(await client.until(isOver)).replaceAll(PING, '')).toBe(eventsText(EVENTS))
  })

  test('an answer that breaks off is told as ever', async () => {
    const [first, said] = [gate(), gate()]
    await using at = await early(inTurn(sse([first, ROLE, ONE, said, cut()]), openAiError(500, 'broken', null)))

    const client = at.stream()
    await first.reached
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    first.open()
    await client.until(text => text.includes('Hello'))
    said.open()
    const text = await client.until(isOver)

    expect(lastEvent(text)).toMatchObject({ error: { code: 'stream_interrupted', delivered_chars: 5 } })
    expect(await at.logged({ outcome: 'interrupted' })).toMatchObject({ status: 200 })
  })
})

describe('where nothing can be given in the end', () => {
  test('the error is the last event, and is written down as if it had been the answer', async () => {
    const first = gate()
    const folder = await ownFolder('citadel-early-')
    await using end = new AsyncDisposableStack()
    end.defer(folder.remove)
    await using second = await startModelServer(openAiError(500, 'also broken', null))
    await using at = await early([first, openAiError(500, 'broken', null)], {
      second,
      retry: { max_attempts: 2 },
      recovery: { enabled: false },
      service: { data_dir: folder.path },
      auth: { mode: 'none', admin_keys: [ADMIN] },
    })
    const admin = { headers: { authorization: `Bearer ${ADMIN}` } }

    const client = at.stream()
    await first.reached
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    first.open()
    const text = await client.until(isOver)
    const line = await at.logged({ outcome: 'failed' })
    const report = await fetch(`${at.gateway.url}/v1/requests/${line.request_id}`, admin)

    expect(lastEvent(text)).toEqual({
      error: {
        message: 'No model server could answer: a (upstream_error), b (upstream_error).',
        type: 'server_error',
        param: null,
        code: 'all_targets_failed',
        attempts: [
          { server: 'a', result: 'upstream_error', ms: expect.any(Number) },
          { server: 'b', result: 'upstream_error', ms: expect.any(Number) },
        ],
        delivered_chars: 0,
      },
    })
    expect(text).not.toContain('[DONE]')
    expect(line).toMatchObject({ status: 503, code: 'all_targets_failed', attempts: 2, stream: true })
    expect(await report.json()).toMatchObject({ status: 503, code: 'all_targets_failed', outcome: 'failed' })
    expect(await at.metric('gateway_errors_total{code="all_targets_failed"}')).toBe(1)
    const labels = 'method="POST",route="/v1/chat/completions",status="503"'
    expect(await at.metric(`http_requests_total{${labels}}`)).toBe(1)
    expect(await at.metric('gateway_streams_active')).toBe(0)
    let rows: unknown[] = []
    await until('its row is written', 5000, () => {
      at.clock.advance(1000)
      using database = new Database(join(folder.path, 'citadel.db'), { readonly: true })
      rows = database
        .query("SELECT status, code, outcome FROM requests WHERE parent IS NULL AND route LIKE '/v1/c%'")
        .all()
      return rows.length > 0
    })
    expect(rows).toEqual([{ status: 503, code: 'all_targets_failed', outcome: 'failed' }])
  })

  test('a place that never comes free is told so', async () => {
    const first = gate()
    await using at = await early(sse([ROLE, ONE, first, ...EVENTS.slice(2)]), { servers: [{ max_concurrent: 1 }] })

    const { busy, client } = await queued(at)
    at.clock.advance(10_000)
    const text = await client.until(isOver)
    first.open()
    await busy.until(isOver)

    expect(lastEvent(text)).toMatchObject({ error: { code: 'queue_timeout', type: 'rate_limit_error' } })
    expect(await at.logged({ code: 'queue_timeout' })).toMatchObject({ status: 429, outcome: 'denied' })
  })

  for (const [header, value] of [
    ['x-citadel-timeout-ms', '5000'],
    ['x-citadel-first-token-ms', '5000'],
  ] as const) {
    test(`the time that the caller allows in ${header} is told as such`, async () => {
      await using at = await early(hang())

      const client = at.stream({}, '/v1/chat/completions', `${header}: ${value}\r\n`)
      const asked = await at.server.called(1)
      at.clock.advance(WAIT_MS)
      await client.until(text => text.includes(PING))
      at.clock.advance(5000)
      const text = await client.until(isOver)
      await asked.closed

      expect(lastEvent(text)).toMatchObject({ error: { code: 'deadline_exceeded' } })
      expect(await at.logged({ code: 'deadline_exceeded' })).toMatchObject({ status: 504, outcome: 'failed' })
    })
  }

  test('the end of the gateway is told', async () => {
    await using at = await early(hang())

    const client = at.stream()
    const asked = await at.server.called(1)
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    at.gateway.gateway.abort()
    const text = await client.until(isOver)
    await asked.closed

    expect(lastEvent(text)).toMatchObject({ error: { code: 'server_shutting_down' } })
    await at.gateway.gateway.idle()
  })
})

describe('what is refused within the wait has its status', () => {
  const refusals: readonly (readonly [status: number, body: object, more: Tree])[] = [
    [400, { messages: 'no' }, {}],
    [401, {}, { auth: { mode: 'required', keys: [{ name: 'web', key: 'gw-web-0123456789abcdef' }] } }],
    [404, { model: 'nobody' }, {}],
    [429, {}, { limits: { global: { tokens_per_minute: 1 } } }],
  ]

  test.each(refusals)('%d', async (status, body, more) => {
    await using at = await early(openAiScript(), more)

    const response = await at.gateway.chat({ stream: true, max_tokens: 50, ...body })

    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(at.server.calls).toHaveLength(0)
  })

  test('so has what every server refuses', async () => {
    await using at = await early(openAiError(400, 'too hot', 'invalid_value'))

    expect((await at.gateway.chat({ stream: true })).status).toBe(400)
  })
})

describe('a caller that leaves behind early headers', () => {
  async function closedAfter(): Promise<number> {
    await using at = await early(inTurn(hang(), openAiScript()), { servers: [{ max_concurrent: 1 }] })

    const client = at.stream()
    const asked = await at.server.called(1)
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    const leftAt = performance.now()
    client.socket.destroy()
    const closedAfterMs = (await asked.closed) - leftAt

    const line = await at.logged({ outcome: 'cancelled' })
    expect(line).toMatchObject({ code: 'client_closed_request', status: 499, stream: true })
    expect(at.gateway.lines.filter(each => each.request_id === line.request_id)).toHaveLength(1)
    expect(await at.metric('gateway_streams_active')).toBe(0)
    expect(await at.metric('gateway_inflight{server="a"}')).toBe(0)
    expect((await at.gateway.chat({ stream: true })).status).toBe(200)
    return closedAfterMs
  }

  test('closes the model server, and leaves nothing behind', async () => {
    expect(await fastest(CLOSED_WITHIN_MS, closedAfter)).toBeLessThan(CLOSED_WITHIN_MS)
  })

  test('leaves the queue', async () => {
    const first = gate()
    await using at = await early(sse([ROLE, ONE, first, ...EVENTS.slice(2)]), { servers: [{ max_concurrent: 1 }] })

    const { busy, client } = await queued(at)
    client.socket.destroy()
    await until('it is gone', 5000, async () => (await at.metric('gateway_queue_depth')) === 0)
    first.open()
    await busy.until(isOver)

    expect(at.server.calls).toHaveLength(1)
    expect(await at.logged({ outcome: 'cancelled' })).toMatchObject({ status: 499, queue_ms: WAIT_MS })
  })

  test('in the moment in which it would begin leaves nothing behind either', async () => {
    const first = gate()
    await using at = await early(sse([first, ...EVENTS]))
    const leaves: (() => void)[] = []
    const connection = { ...connectionFrom('127.0.0.1'), onLeave: (left: () => void) => void leaves.push(left) }
    const body = JSON.stringify(callBody({ stream: true }))
    const answer = at.gateway.gateway.fetch(
      new Request(`${at.gateway.url}/v1/chat/completions`, { method: 'POST', body }),
      connection,
    )
    await first.reached
    for (const leave of leaves) leave()
    at.clock.advance(WAIT_MS)

    expect((await answer).status).toBe(499)
    expect(await at.logged({ outcome: 'cancelled' })).toMatchObject({ status: 499, code: 'client_closed_request' })
    expect([await at.metric('gateway_streams_active'), await at.metric('http_requests_in_flight')]).toEqual([0, 0])
  })

  test('lets another one go on that waits for the same', async () => {
    const first = gate()
    await using at = await early(sse([first, ...EVENTS]), { cache: { enabled: true } })

    const clients = [at.stream(), at.stream()]
    await first.reached
    await until('both wait', 5000, async () => (await at.metric('http_requests_in_flight')) === 2)
    at.clock.advance(WAIT_MS)
    for (const client of clients) await client.until(text => text.includes(PING))
    clients[0]?.socket.destroy()
    await at.logged({ outcome: 'cancelled' })
    first.open()
    const text = await clients[1]?.until(isOver)

    expect(bodyOf(text ?? '')).toBe(PING + eventsText(EVENTS))
    expect(at.server.calls).toHaveLength(1)
  })
})

describe('beside early headers', () => {
  test('an answer is stored, and shared, without their comments', async () => {
    const first = gate()
    await using at = await early(sse([first, ...EVENTS]), { cache: { enabled: true } })

    const client = at.stream()
    await first.reached
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    first.open()
    await client.until(isOver)
    const hit = await at.gateway.chat({ stream: true })

    expect(hit.headers.get('x-citadel-cache')).toBe('hit')
    expect(await hit.text()).not.toContain(PING)
    expect(await at.logged({ outcome: 'ok' })).toMatchObject({ status: 200 })
    expect(at.server.calls).toHaveLength(1)
  })

  test('a failure is not stored', async () => {
    const first = gate()
    await using at = await early(inTurn([first, openAiError(400, 'no', null)], openAiScript()), {
      cache: { enabled: true },
    })

    const client = at.stream()
    await first.reached
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    first.open()
    const failed = await client.until(isOver)
    const again = await at.gateway.chat({ stream: true })

    expect(lastEvent(failed)).toMatchObject({ error: { type: 'invalid_request_error' } })
    expect(again.headers.get('x-citadel-cache')).toBe('miss')
    expect(await again.text()).toContain('[DONE]')
  })

  test('an idempotency key is taken until the end, and gives the answer without their comments', async () => {
    const first = gate()
    await using at = await early(sse([first, ...EVENTS]))
    const keyed = { headers: { 'idempotency-key': 'k' } }

    const sent = JSON.stringify(callBody({ stream: true }))
    const client = at.raw(sent, '/v1/chat/completions', 'idempotency-key: k\r\n')
    await first.reached
    at.clock.advance(WAIT_MS)
    await client.until(text => text.includes(PING))
    const twin = await at.gateway.chat({ stream: true }, keyed)
    first.open()
    await client.until(isOver)
    const again = await at.gateway.chat({ stream: true }, keyed)

    expect(twin.status).toBe(409)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(await again.text()).toBe(eventsText(EVENTS))
    expect(at.server.calls).toHaveLength(1)
  })

  test('an idempotency key is free again behind a failure, and when the caller leaves', async () => {
    const first = gate()
    await using at = await early(inTurn([first, openAiError(400, 'no', null)], hang(), openAiScript()))
    const sent = JSON.stringify(callBody({ stream: true }))
    const ask = () => at.raw(sent, '/v1/chat/completions', 'idempotency-key: k\r\n')

    const failing = ask()
    await first.reached
    at.clock.advance(WAIT_MS)
    await failing.until(text => text.includes(PING))
    first.open()
    await failing.until(isOver)
    const leaving = ask()
    await at.server.called(2)
    at.clock.advance(WAIT_MS)
    await leaving.until(text => text.includes(PING))
    leaving.socket.destroy()
    await at.logged({ outcome: 'cancelled' })
    const again = await at.gateway.chat({ stream: true }, { headers: { 'idempotency-key': 'k' } })

    expect(await again.text()).toContain('[DONE]')
    expect(again.headers.get('idempotency-replayed')).toBeNull()
    expect(at.server.calls).toHaveLength(3)
  })
})

/** A gateway of which streams are answered early, on a clock that the test moves. */
interface Early extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly server: ModelServer
  readonly clock: FakeClock
  /** Asks for a stream on a socket of its own, since `fetch` hides how a body comes. */
  stream(body?: object, path?: string, headers?: string): RawClient
  raw(body: string, path?: string, headers?: string): RawClient
  metric(name: string): Promise<number | undefined>
  /** Resolves with the first line that has all of these values; time passes meanwhile, with which lines are written. */
  logged(values: LogLine): Promise<LogLine>
}

/** A call that has begun early while another one has the only place. */
async function queued(at: Awaited<ReturnType<typeof early>>): Promise<{ busy: RawClient; client: RawClient }> {
  const busy = at.stream()
  await busy.until(text => text.includes('Hello'))
  const client = at.stream()
  await until('it waits', 5000, async () => (await at.metric('gateway_queue_depth')) === 1)
  at.clock.advance(WAIT_MS)
  await client.until(text => text.includes(PING))
  return { busy, client }
}

async function early(
  script: Script,
  more: Tree & { readonly second?: ModelServer; readonly servers?: readonly object[] } = {},
): Promise<Early> {
  const { second, servers: own = [], ...rest } = more
  const clock = fakeClock()
  clock.advance(1)
  const server = await startModelServer(script)
  const config = configOf(second === undefined ? [server] : [server, second])
  const servers = (config.servers as readonly object[]).map((each, at) => ({ ...each, ...own[at] }))
  const gateway = await startGateway(
    { ...config, streams: { early_headers: `${WAIT_MS}ms` }, ...rest, servers },
    { clock },
  )
  const raw: Early['raw'] = (body, path = '/v1/chat/completions', headers = '') => {
    const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${headers}`
    return rawClient(gateway.port, `${head}content-length: ${body.length}\r\n\r\n${body}`)
  }
  return {
    gateway,
    server,
    clock,
    raw,
    stream: (body = {}, ...where) => raw(JSON.stringify(callBody({ stream: true, ...body })), ...where),
    metric: async name => parseExposition((await gateway.gateway.metrics()).text).get(name),
    async logged(values) {
      let found: LogLine | null = null
      void gateway.logged(values).then(line => {
        found = line
      })
      await until(`a line with ${JSON.stringify(values)}`, 5000, () => {
        clock.advance(100)
        return found !== null || gateway.lines
      })
      return gateway.logged(values)
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}

function eventsText(events: readonly (object | string)[]): string {
  return events.map(event => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('')
}

/** The body of a chunked answer. */
function bodyOf(text: string): string {
  return text
    .slice(text.indexOf('\r\n\r\n') + 4)
    .replaceAll(/[0-9a-f]+\r\n((?:[^\r]|\r(?!\n))*)\r\n/g, '$1')
    .replace(/^\r\n$/, '')
    .replace(/\r\n$/, '')
}
