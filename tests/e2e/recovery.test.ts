import { describe, expect, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { fastest } from '#tests/support/fastest.ts'
import { configOf, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { ollamaStream } from '#tests/support/ollama-upstream.ts'
import { chatEvents, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { isOver, lastEvent, rawStream } from '#tests/support/raw-chat.ts'
import {
  bytes,
  chunk,
  cut,
  gate,
  hang,
  inTurn,
  type RecordedRequest,
  reset,
  type Script,
  type StreamItem,
  sse,
} from '#tests/support/upstream.ts'

const deltas = ['One', ' two', ' three']
const [role = '', one = '', two = ''] = chatEvents('test-model', { deltas })
/** The same text in other pieces. */
const same = openAiScript({ deltas: ['O', 'ne two', ' thr', 'ee'] })
const other = openAiScript({ deltas: ['One', ' too', ' three'] })

interface Break {
  readonly name: string
  /** What follows the first content. */
  readonly items: readonly StreamItem[]
}

const breaks: readonly Break[] = [
  { name: 'an error event', items: [{ error: { message: 'out of memory', code: 500 } }] },
  { name: 'an end without a finish', items: [] },
  { name: 'a connection that ends', items: [cut()] },
  { name: 'a reset', items: [reset()] },
  { name: 'garbage', items: ['{', 'x', '}', '{"a', two] },
  { name: 'a broken chunk size', items: [bytes('zz\r\n'), hang()] },
  { name: 'half of the next event', items: [chunk(`data: ${JSON.stringify(two).slice(0, 40)}`), cut()] },
]

describe.each(breaks)('$name in the middle of a stream', ({ items }) => {
  test('goes on from a server that says the same', async () => {
    const seen = gate()
    await using broken = await startModelServer(sse([role, one, seen, ...items]))
    await using sound = await startModelServer(same)
    await using gateway = await startGateway(configOf([broken, sound]))

    const text = await streamed(gateway, seen)

    expect(contentOf(text)).toBe('One two three')
    expect(text.split('data: [DONE]').length).toBe(2)
    expect(text.split('"finish_reason":"stop"').length).toBe(2)
    expect(text.split('"role"').length).toBe(2)
    const line = await gateway.logged({ outcome: 'recovered' })
    expect(line).toMatchObject({ status: 200, code: null, attempts: 2, tokens_in: 7, tokens_out: 3 })
    expect(line.attempt_list).toMatchObject([{ server: 'a' }, { server: 'b', result: 'ok' }])
    expect((line.attempt_list as { result: string }[])[0]?.result).not.toBe('ok')
    expect(await recoveries(gateway)).toContain('gateway_recoveries_total{how="restart"} 1')
  })

  test('is told when the next server says something else', async () => {
    const seen = gate()
    await using broken = await startModelServer(sse([role, one, two, seen, ...items]))
    await using sound = await startModelServer(other)
    await using gateway = await startGateway(configOf([broken, sound]))

    const text = await streamed(gateway, seen, {}, ' two')

    expect(lastEvent(text)).toMatchObject({ error: { code: 'stream_interrupted', delivered_chars: 7 } })
    expect(text).not.toContain('[DONE]')
    const line = await gateway.logged({ outcome: 'interrupted' })
    expect(line.attempt_list).toMatchObject([{ server: 'a' }, { server: 'b', result: 'stream_interrupted' }])
    expect(await recoveries(gateway)).not.toContain('gateway_recoveries_total{')
  })

  test('is told when recovery is switched off', async () => {
    const seen = gate()
    await using broken = await startModelServer(sse([role, one, seen, ...items]))
    await using sound = await startModelServer(same)
    await using gateway = await startGateway(configOf([broken, sound], { recovery: { enabled: false } }))

    const text = await streamed(gateway, seen)

    expect(lastEvent(text)).toMatchObject({ error: { code: 'stream_interrupted', delivered_chars: 3 } })
    expect(sound.calls).toHaveLength(0)
  })
})

test('the answer is that of the server which finished it: by name, tokens and price', async () => {
  const seen = gate()
  await using broken = await startModelServer(sse([role, one, seen, cut()]))
  await using sound = await startModelServer(same)
  const [cheap, dear] = [
    { input: 1, output: 1 },
    { input: 10, output: 10 },
  ]
  const targets = [
    { server: 'a', model: 'test-model', price: cheap },
    { server: 'b', model: 'test-model', price: dear },
  ]
  await using gateway = await startGateway(configOf([broken, sound], { models: { chat: { targets } } }))

  await streamed(gateway, seen)
  const line = await gateway.logged({ outcome: 'recovered' })
  const report = await (await fetch(`${gateway.url}/v1/requests/${line.request_id}`)).json()
  const { text } = await gateway.gateway.metrics()

  expect(line).toMatchObject({ server: 'b', tokens_in: 7, tokens_out: 3 })
  expect(report).toMatchObject({ server: 'b', cost_usd: 0.0001 })
  expect(text).toContain('gateway_tokens_total{server="b",model="chat",type="output"} 3')
})

test('what the server that broke off had counted so far is no count of the answer', async () => {
  const counting = { ...(one as object), usage: { prompt_tokens: 700, completion_tokens: 1, total_tokens: 701 } }
  await using broken = await startModelServer(sse([role, counting, cut()]))
  await using next = await startModelServer(sse(chatEvents('test-model', { deltas })))
  await using gateway = await startGateway(configOf([broken, next], { load_balancer: { algorithm: 'explicit' } }))

  await (await gateway.chat({ stream: true })).text()

  expect(await gateway.logged({ outcome: 'recovered' })).toMatchObject({
    ...{ server: 'b', tokens_in: 1, tokens_out: 4, estimated: true },
  })
})

test('nor is it where several share that answer', async () => {
  const counting = { ...(one as object), usage: { prompt_tokens: 700, completion_tokens: 1, total_tokens: 701 } }
  const middle = gate()
  await using broken = await startModelServer(sse([role, counting, middle, cut()]))
  await using next = await startModelServer(sse(chatEvents('test-model', { deltas })))
  const more = { load_balancer: { algorithm: 'explicit' }, cache: { enabled: true } }
  await using gateway = await startGateway(configOf([broken, next], more))

  const readers = [await gateway.chat({ stream: true }), await gateway.chat({ stream: true })]
  middle.open()
  for (const reader of readers) await reader.text()

  expect(await gateway.logged({ outcome: 'recovered' })).toMatchObject({
    ...{ server: 'b', tokens_in: 1, tokens_out: 4, estimated: true },
  })
  expect(await gateway.logged({ outcome: 'coalesced' })).not.toHaveProperty('tokens_in')
})

test('goes on from a server that was out when the stream began and is back', async () => {
  const clock = fakeClock()
  clock.advance(1)
  const seen = gate()
  await using broken = await startModelServer(sse([role, one, seen, cut()]))
  await using limited = await startModelServer(inTurn(openAiError(429, 'wait', null, { 'retry-after': '10' }), same))
  await using gateway = await startGateway(configOf([broken, limited]), { clock })
  const first = await gateway.chat({}, { headers: { 'x-citadel-server': 'b' } })

  const client = rawStream(gateway.port)
  await client.until(text => text.includes('One'))
  clock.advance(11_000)
  seen.open()
  const text = await client.until(isOver)

  expect(first.status).toBe(429)
  expect([contentOf(text), limited.calls.length]).toEqual(['One two three', 2])
})

test('goes on from no server that is configured no more', async () => {
  const seen = gate()
  await using broken = await startModelServer(sse([role, one, seen, cut()]))
  await using removed = await startModelServer(same)
  await using gateway = await startGateway(configOf([broken, removed]))

  const client = rawStream(gateway.port)
  await client.until(text => text.includes('One'))
  gateway.gateway.reload(configFrom(configOf([broken], { limits: { enabled: false } })))
  seen.open()
  const text = await client.until(isOver)

  expect(text).toContain('"error"')
  expect(removed.calls).toHaveLength(0)
})

test('a stream that falls silent goes on from another server when the idle clock has run out', async () => {
  const clock = fakeClock()
  clock.advance(1)
  await using broken = await startModelServer(sse([role, one, hang()]))
  await using sound = await startModelServer(same)
  await using gateway = await startGateway(configOf([broken, sound]), { clock })

  const client = rawStream(gateway.port)
  await client.until(text => text.includes('One'))
  clock.advance(61_000)
  const text = await client.until(isOver)

  expect(contentOf(text)).toBe('One two three')
  expect(text).toContain('data: [DONE]\n\n')
  await (await broken.called(1)).closed
})

test('the next server may fail too, before its answer and in the middle of it', async () => {
  const seen = gate()
  await using first = await startModelServer(sse([role, one, seen, cut()]))
  await using second = await startModelServer(openAiError(500, 'no', null))
  await using third = await startModelServer(sse([role, one, two, cut()]))
  await using fourth = await startModelServer(same)
  const servers = [first, second, third, fourth]
  await using gateway = await startGateway(configOf(servers, { retry: { max_attempts: 6 } }))

  const text = await streamed(gateway, seen)

  expect(contentOf(text)).toBe('One two three')
  expect(await gateway.logged({ outcome: 'recovered' })).toMatchObject({ attempts: 4 })
})

test('nothing left to try ends the stream with what broke it', async () => {
  const seen = gate()
  await using broken = await startModelServer(sse([role, one, seen, cut()]))
  await using down = await startModelServer(openAiError(500, 'no', null))
  await using gateway = await startGateway(configOf([broken, down]))

  const text = await streamed(gateway, seen)

  expect(lastEvent(text)).toMatchObject({ error: { code: 'stream_interrupted', delivered_chars: 3 } })
  expect(text).not.toContain('[DONE]')
})

test('an answer that is stored is not asked for twice', async () => {
  const seen = gate()
  await using broken = await startModelServer(sse([role, one, seen, cut()]))
  await using sound = await startModelServer(same)
  await using gateway = await startGateway(configOf([broken, sound]))

  const text = await streamed(gateway, seen, { store: true })

  expect(lastEvent(text)).toMatchObject({ error: { code: 'stream_interrupted' } })
  expect(sound.calls).toHaveLength(0)
})

async function nextClosedAfterMs(): Promise<number> {
  const seen = gate()
  await using broken = await startModelServer(sse([role, one, seen, cut()]))
  await using slow = await startModelServer(sse([role, hang()]))
  await using gateway = await startGateway(configOf([broken, slow]))

  const client = rawStream(gateway.port)
  await client.until(text => text.includes('One'))
  seen.open()
  const call = await slow.called(1)
  const left = performance.now()
  client.socket.destroy()
  const closedAt = await call.closed

  await gateway.logged({ outcome: 'cancelled' })
  const health = await (await fetch(`${gateway.url}/health/detailed`)).json()
  const { servers } = health as { readonly servers: readonly { readonly in_flight: number }[] }
  expect(servers.map(server => server.in_flight)).toEqual([0, 0])
  return closedAt - left
}

test('a client that leaves during the recovery closes the next server too', async () => {
  expect(await fastest(100, nextClosedAfterMs)).toBeLessThan(100)
})

describe('a model that continues what was begun', () => {
  const head = 'The first half of an answer, which is long enough to be gone on from by another server'
  const tail = ', and the second half of it.'
  const [begin = '', first = ''] = chatEvents('test-model', { deltas: [head] })
  const started = (seen: ReturnType<typeof gate>) => sse([begin, first, seen, cut()])
  const isAsked = (request: RecordedRequest) => (request.json() as object as Prefilled).continue_final_message === true
  const usage = { prompt_tokens: 40, completion_tokens: 8, total_tokens: 48 }
  const counted = { id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [], usage }
  const rest = (deltas: readonly string[]) =>
    sse([...chatEvents('test-model', { deltas }).slice(0, -1), counted, '[DONE]'])
  const models = (servers: readonly string[]) => ({
    chat: { targets: servers.map(server => ({ server, model: 'test-model' })), capabilities: { prefill: true } },
  })

  async function run(script: Script, { max_attempts = 4, kind = 'openai_compatible' } = {}) {
    const seen = gate()
    await using broken = await startModelServer(started(seen))
    await using next = await startModelServer(script)
    await using gateway = await startGateway(
      configOf([broken, next], {
        servers: [
          { id: 'a', kind: 'openai_compatible', base_url: broken.url },
          { id: 'b', kind, base_url: next.url },
        ],
        models: models(['a', 'b']),
        retry: { max_attempts },
      }),
    )
    const body = { max_tokens: 100, stream_options: { include_usage: true } }
    const text = await streamed(gateway, seen, body, 'another server')
    const line = await gateway.logged({ stream: true })
    return {
      text,
      line,
      calls: next.calls.map(call => call.json() as object as Prefilled),
      metrics: await recoveries(gateway),
    }
  }

  test('is given the beginning, and goes on', async () => {
    const { text, line, calls, metrics } = await run(rest([tail]))

    expect(contentOf(text)).toBe(head + tail)
    expect(text).toContain('[DONE]')
    expect(calls[0]).toMatchObject({ continue_final_message: true, add_generation_prompt: false })
    expect(calls[0]?.messages.at(-1)).toEqual({ role: 'assistant', content: head })
    expect(calls[0]?.max_tokens).toBeLessThan(80)
    expect(metrics).toContain('gateway_recoveries_total{how="prefill"} 1')
    // 24 tokens of the prompt are the beginning of the answer.
    expect(line).toMatchObject({ outcome: 'recovered', tokens_in: 16, tokens_out: 32, estimated: true })
    expect(text).toContain('"prompt_tokens":16,"completion_tokens":32,"total_tokens":48')
  })

  test('is noticed when it starts again instead', async () => {
    const { text, metrics } = await run(rest(['The first half', head.slice(14) + tail]))

    expect(contentOf(text)).toBe(head + tail)
    expect(metrics).toContain('gateway_recoveries_total{how="restart"} 1')
  })

  test.each(['openai', 'ollama'])('is not taken for one that goes on at a server of the kind %s', async kind => {
    const words = ['Something else altogether, said by a server', ' that was not given the beginning.']
    const script = kind === 'ollama' ? ollamaStream('test-model', ...words) : rest(words)
    const { text, calls, metrics } = await run(script, { kind })

    expect(contentOf(text)).toBe(head)
    expect(lastEvent(text)).toMatchObject({ error: { code: 'stream_interrupted', delivered_chars: head.length } })
    expect(calls[0]?.messages.map(({ role }) => role)).toEqual(['user'])
    expect(metrics).not.toContain('prefill')
  })

  test('is noticed when it starts again with other words', async () => {
    const { text } = await run(rest([head.slice(0, 70), ' that differs']))

    expect(lastEvent(text)).toMatchObject({ error: { code: 'stream_interrupted', delivered_chars: head.length } })
    expect(contentOf(text)).toBe(head)
  })

  test('starts again when the server refuses', async () => {
    const script: Script = request =>
      isAsked(request) ? openAiError(400, 'continue_final_message is unknown', null) : rest([head + tail])
    const { text, line, calls, metrics } = await run(script)

    expect(contentOf(text)).toBe(head + tail)
    expect(calls.map(call => call.continue_final_message)).toEqual([true, undefined])
    expect(metrics).toContain('gateway_recoveries_total{how="restart"} 1')
    expect([line.attempts, line.attempt_list]).toMatchObject([
      3,
      [{ server: 'a' }, { server: 'b', result: 'invalid_request' }, { server: 'b', result: 'ok' }],
    ])
  })

  test('is not asked again when no attempt is left', async () => {
    const script: Script = request =>
      isAsked(request) ? openAiError(400, 'continue_final_message is unknown', null) : rest([head + tail])
    const { text, calls } = await run(script, { max_attempts: 2 })

    expect(calls).toHaveLength(1)
    expect(lastEvent(text)).toMatchObject({ error: { code: 'stream_interrupted', delivered_chars: head.length } })
  })
})

interface Prefilled {
  readonly continue_final_message?: boolean
  readonly max_tokens: number
  readonly messages: readonly { readonly role: string; readonly content: string }[]
}

/** Asks for a stream, lets the server go on once the caller has seen so much, and reads to the end. */
async function streamed(
  gateway: TestGateway,
  seen: ReturnType<typeof gate>,
  more: object = {},
  sight = 'One',
): Promise<string> {
  const client = rawStream(gateway.port, more)
  await client.until(text => text.includes(sight))
  seen.open()
  return client.until(isOver)
}

interface Event {
  readonly choices?: readonly { readonly delta: { readonly content?: string } }[]
}

function eventsOf(text: string): Event[] {
  return [...text.matchAll(/data: (\{.*?\})\n\n/gs)].map(([, data = '']) => JSON.parse(data))
}

function contentOf(text: string): string {
  return eventsOf(text)
    .map(event => event.choices?.[0]?.delta.content ?? '')
    .join('')
}

async function recoveries(gateway: TestGateway): Promise<string> {
  return (await fetch(`${gateway.url}/metrics`)).text()
}
