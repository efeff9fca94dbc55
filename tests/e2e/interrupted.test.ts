import { describe, expect, test } from 'bun:test'
import { fakeClock } from '#tests/support/clock.ts'
import { configOf, SERVER_KEY, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { isOver, lastEvent, rawStream } from '#tests/support/raw-chat.ts'
import { bytes, chunk, cut, gate, hang, reset, type StreamItem, sse } from '#tests/support/upstream.ts'

const events = chatEvents('test-model', { deltas: ['One', ' two'] })
const [role = '', one = '', two = '', finish = ''] = events
const secondChoice = { ...(one as object), choices: [{ index: 1, delta: { role: 'assistant', content: 'Other' } }] }

interface Break {
  readonly name: string
  /** What follows the first content. */
  readonly items: readonly StreamItem[]
  /** What the call asks for besides. */
  readonly body?: object
  /** Characters that the caller has got (default 3). */
  readonly delivered?: number
}

const breaks: readonly Break[] = [
  { name: 'an error', items: [{ error: { message: `10.1.2.3 has no memory for ${SERVER_KEY}`, code: 500 } }] },
  { name: 'a named error event', items: [chunk('event: error\ndata: {"message":"no"}\n\n')] },
  { name: 'an end without a finish', items: [] },
  { name: 'a connection that ends', items: [cut()] },
  { name: 'a reset', items: [reset()] },
  { name: 'four unreadable events', items: ['{', 'x', '}', '{"a', two, finish, '[DONE]'] },
  { name: 'a line without end', items: [chunk(`data: ${'x'.repeat(17_000_000)}`), hang()] },
  { name: 'a broken chunk size', items: [bytes('zz\r\n'), hang()] },
  { name: 'an end while a choice is open', items: [secondChoice, finish], body: { n: 2 }, delivered: 8 },
  { name: 'half of the next event', items: [chunk(`data: ${JSON.stringify(two).slice(0, 40)}`), cut()] },
]

describe.each(breaks)('$name after the first content', ({ items, body = {}, delivered = 3 }) => {
  test('ends the stream with an error and without [DONE] when nobody says the same', async () => {
    const seen = gate()
    await using server = await startModelServer(sse([role, one, seen, ...items]))
    await using other = await startModelServer(openAiScript())
    await using gateway = await startGateway(configOf([server, other]))

    const client = rawStream(gateway.port, body)
    await client.until(text => text.includes('One'))
    seen.open()
    const text = await client.until(isOver)

    expect(lastEvent(text)).toMatchObject({
      error: { type: 'server_error', code: 'stream_interrupted', param: null, delivered_chars: delivered },
    })
    for (const secret of ['[DONE]', SERVER_KEY, '10.1.2.3', `:${server.port}`]) expect(text).not.toContain(secret)
    expect(other.calls).toHaveLength(1)
    expect(await gateway.logged({ outcome: 'interrupted' })).toMatchObject({ status: 200, code: 'stream_interrupted' })
  })
})

test('silence in the middle ends the stream when the idle clock has run out', async () => {
  const clock = startedClock()
  await using server = await startModelServer(sse([role, one, hang()]))
  await using gateway = await startGateway(configOf([server], { timeouts: { idle: '60s' } }), { clock })

  const client = rawStream(gateway.port)
  await client.until(text => text.includes('One'))
  clock.advance(59_900)
  const before = client.text()
  clock.advance(200)
  const text = await client.until(isOver)

  expect(before).not.toContain('error')
  expect(lastEvent(text)).toMatchObject({ error: { code: 'upstream_idle_timeout', delivered_chars: 3 } })
  expect(text).not.toContain('[DONE]')
  await (await server.called(1)).closed
})

test('silence before the first content is the first-token clock, not the idle clock', async () => {
  const clock = startedClock()
  const prefill = gate()
  await using server = await startModelServer(sse([prefill, ...events]), { reads: 'confirmed' })
  await using gateway = await startGateway(configOf([server]), { clock })

  const client = rawStream(gateway.port)
  await prefill.reached
  clock.advance(110_000)
  prefill.open()

  expect(await client.until(isOver)).toEndWith('data: [DONE]\n\n\r\n0\r\n\r\n')
})

test('silence in the middle is filled with comments', async () => {
  const clock = startedClock()
  const quiet = gate()
  await using server = await startModelServer(sse([role, one, quiet, two, finish, '[DONE]']))
  await using gateway = await startGateway(configOf([server]), { clock })

  const client = rawStream(gateway.port)
  await client.until(text => text.includes('One'))
  clock.advance(15_000)
  await client.until(text => text.split(': ping\n\n').length === 2)
  clock.advance(15_000)
  const text = await client.until(text => text.split(': ping\n\n').length === 3)
  quiet.open()

  expect(text).not.toContain('two')
  expect(await client.until(isOver)).toContain('[DONE]')
})

test('up to three unreadable events are left out and counted', async () => {
  await using server = await startModelServer(sse([role, '{broken', one, 'nonsense', two, '[', finish, '[DONE]']))
  await using gateway = await startGateway(configOf([server]))

  const text = await (await gateway.chat({ stream: true })).text()

  expect(text).toEndWith('data: [DONE]\n\n')
  for (const garbage of ['broken', 'nonsense', 'data: [\n']) expect(text).not.toContain(garbage)
  expect(await gateway.logged({ outcome: 'ok' })).toMatchObject({ events_skipped: 3 })
})

test('a finish without [DONE] is waited for a second, then the answer is whole', async () => {
  const clock = startedClock()
  await using server = await startModelServer(sse([role, one, finish, hang()]))
  await using gateway = await startGateway(configOf([server]), { clock })

  const client = rawStream(gateway.port)
  await client.until(text => text.includes('"finish_reason":"stop"'))
  clock.advance(990)
  const before = client.text()
  clock.advance(20)
  const text = await client.until(isOver)

  expect(before).not.toContain('[DONE]')
  expect(text).toContain('data: [DONE]\n\n')
  await (await server.called(1)).closed
})

for (const { name, items } of [
  { name: 'at once when the stream has ended', items: [] },
  { name: 'at once when the connection has ended', items: [cut()] },
]) {
  test(`a finish without [DONE] is whole ${name}`, async () => {
    const seen = gate()
    await using server = await startModelServer(sse([role, one, finish, seen, ...items]))
    await using gateway = await startGateway(configOf([server]), { clock: startedClock() })

    const client = rawStream(gateway.port)
    await client.until(text => text.includes('"finish_reason":"stop"'))
    seen.open()

    expect(await client.until(isOver)).toContain('data: [DONE]\n\n')
  })
}

test('a stream that a server delimits by its connection is whole when it has finished', async () => {
  await using server = await startModelServer(sse(events, { chunked: false }))
  await using gateway = await startGateway(configOf([server]))

  const text = await (await gateway.chat({ stream: true })).text()

  expect(text).toEndWith('data: [DONE]\n\n')
})

test('a running stream is told when the gateway ends', async () => {
  await using server = await startModelServer(sse([role, one, hang()]))
  await using gateway = await startGateway(configOf([server]))

  const client = rawStream(gateway.port)
  await client.until(text => text.includes('One'))
  gateway.gateway.abort()
  const text = await client.until(isOver)

  expect(lastEvent(text)).toMatchObject({ error: { code: 'server_shutting_down' } })
  await (await server.called(1)).closed
})

/** A clock that has begun to run, as that of a process has. */
function startedClock() {
  const clock = fakeClock()
  clock.advance(1)
  return clock
}
