import { describe, expect, test } from 'bun:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { bytes, cut, hang, head, inTurn, json, reset, sse } from '#tests/support/upstream.ts'

const whole = json(200, chatCompletion('test-model'))

test('a kept connection that is reset when it is used again is no failure of its server', async () => {
  await using server = await startModelServer(inTurn(whole, reset(), whole))
  await using gateway = await startGateway(configOf([server]))

  const statuses = [(await gateway.chat()).status, (await gateway.chat()).status]

  expect(statuses).toEqual([200, 200])
  expect(server.calls.map(call => call.body)).toEqual(Array(3).fill(server.calls[0]?.body))
})

test('what a server stores goes over a new connection, and is not sent twice', async () => {
  await using server = await startModelServer(inTurn(whole, reset(), whole))
  await using gateway = await startGateway(configOf([server]))

  const statuses = [(await gateway.chat()).status, (await gateway.chat({ store: true })).status]

  expect(statuses).toEqual([200, 503])
  expect(server.calls).toHaveLength(2)
})

test('what a server stores is sent to the next one where the first cannot have received it', async () => {
  await using gone = await startModelServer(whole)
  await gone.close()
  await using server = await startModelServer(whole)
  await using gateway = await startGateway(configOf([gone, server]))

  const response = await gateway.chat({ store: true })

  expect([response.status, response.headers.get('x-citadel-server')]).toEqual([200, 'b'])
})

test('a server that closes each connection behind its answer serves every call', async () => {
  await using server = await startModelServer([whole, cut()])
  await using gateway = await startGateway(configOf([server]))
  const statuses = new Set<number>()

  for (let n = 0; n < 50; n++) statuses.add((await gateway.chat()).status)

  expect([...statuses]).toEqual([200])
})

test('a server that resets new connections too is asked once more, not for ever', async () => {
  await using server = await startModelServer(inTurn(whole, reset()))
  await using gateway = await startGateway(configOf([server], { retry: { max_attempts: 1 } }))

  const statuses = [(await gateway.chat()).status, (await gateway.chat()).status, (await gateway.chat()).status]
  const asked = server.calls.length

  expect(statuses).toEqual([200, 503, 503])
  // Over the kept connection of the first call and a new one; of the last call too where a probe has left one.
  expect([4, 5]).toContain(asked)
})

test('connections are used again', async () => {
  await using server = await startModelServer(openAiScript())
  await using gateway = await startGateway(configOf([server]))

  for (let n = 0; n < 20; n++) await (await gateway.chat({ stream: n % 2 === 0 })).text()

  expect(server.calls).toHaveLength(20)
  expect(new Set(server.calls.map(call => call.connection)).size).toBeLessThan(4)
})

for (const [encoding, pack] of [
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
] as const) {
  for (const stream of [false, true]) {
    test(`a ${stream ? 'stream' : 'plain answer'} that a server packs with ${encoding} is unpacked`, async () => {
      const body = stream
        ? chatEvents('m')
            .map(event => `data: ${textOf(event)}\n\n`)
            .join('')
        : chatCompletion('m')
      const packed = pack(textOf(body))
      const type = stream ? 'text/event-stream' : 'application/json'
      const headers = { 'content-type': type, 'content-encoding': encoding, 'content-length': String(packed.length) }
      await using server = await startModelServer([head(200, headers), bytes(packed)])
      await using gateway = await startGateway(configOf([server]))

      const response = await gateway.chat({ stream })

      expect(await response.text()).toBe(textOf(body))
      expect(response.headers.get('content-encoding')).toBeNull()
    })
  }
}

for (const stream of [false, true]) {
  test(`a caller's own clock ends its ${stream ? 'stream' : 'call'}, and the server's work with it`, async () => {
    await using server = await startModelServer(hang())
    await using gateway = await startGateway(configOf([server]))

    const response = await gateway.chat({ stream }, { headers: { 'x-citadel-timeout-ms': '100' } })
    const { error } = (await response.json()) as { readonly error: object }
    await (await server.called(1)).closed

    expect(response.status).toBe(504)
    expect(error).toMatchObject({ code: 'deadline_exceeded' })
    expect(await gateway.logged({ status: 504 })).toMatchObject({
      outcome: 'failed',
      attempt_list: [{ server: 'a', result: 'deadline_exceeded' }],
    })
  })
}

describe("a stream's own clocks", () => {
  const [role = '', one = '', ...rest] = chatEvents('test-model')

  test('a first content that comes too late for its caller is a 504, and no failure of the server', async () => {
    await using server = await startModelServer(inTurn(sse([role, hang()]), sse([role, one, ...rest])))
    await using gateway = await startGateway(configOf([server], { load_balancer: { circuit_breaker_threshold: 1 } }))

    const late = await gateway.chat({ stream: true }, { headers: { 'x-citadel-first-token-ms': '50' } })
    const { error } = (await late.json()) as { readonly error: object }
    await (await server.called(1)).closed

    expect(late.status).toBe(504)
    expect(error).toMatchObject({ code: 'deadline_exceeded' })
    expect(await gateway.logged({ status: 504 })).toMatchObject({
      attempt_list: [{ server: 'a', result: 'deadline_exceeded' }],
    })
    const next = await gateway.chat({ stream: true }, { headers: { 'x-citadel-first-token-ms': '5000' } })
    expect(await next.text()).toContain('[DONE]')
  })

  test('a pause that is too long for its caller ends the stream with an error, and no failure of the server', async () => {
    await using server = await startModelServer(inTurn(sse([role, one, hang()]), sse([role, one, ...rest])))
    await using gateway = await startGateway(configOf([server], { load_balancer: { circuit_breaker_threshold: 1 } }))

    const cut = await (await gateway.chat({ stream: true }, { headers: { 'x-citadel-idle-ms': '50' } })).text()
    await (await server.called(1)).closed

    expect(cut).toContain('deadline_exceeded')
    expect(cut).not.toContain('[DONE]')
    const next = await gateway.chat({ stream: true }, { headers: { 'x-citadel-idle-ms': '5000' } })
    expect(await next.text()).toContain('[DONE]')
  })
})

function textOf(value: object | string): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
