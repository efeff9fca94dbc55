import { expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatCompletion, openAiScript } from '#tests/support/openai-upstream.ts'
import { cut, hang, inTurn, json, reset } from '#tests/support/upstream.ts'

const whole = json(200, chatCompletion('test-model'))

test('a kept connection that is reset when it is used again is no failure of its server', async () => {
  await using server = await startModelServer(inTurn(whole, reset(), whole))
  await using gateway = await startGateway(configOf([server]))

  const statuses = [(await gateway.chat()).status, (await gateway.chat()).status]

  expect(statuses).toEqual([200, 200])
  expect(server.calls.map(call => call.body)).toEqual(Array(3).fill(server.calls[0]?.body))
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
  await using gateway = await startGateway(configOf([server]))

  const statuses = [(await gateway.chat()).status, (await gateway.chat()).status, (await gateway.chat()).status]

  expect(statuses).toEqual([200, 503, 503])
  expect(server.calls).toHaveLength(4)
})

test('connections are used again', async () => {
  await using server = await startModelServer(openAiScript())
  await using gateway = await startGateway(configOf([server]))

  for (let n = 0; n < 20; n++) await (await gateway.chat({ stream: n % 2 === 0 })).text()

  expect(server.calls).toHaveLength(20)
  expect(new Set(server.calls.map(call => call.connection)).size).toBeLessThan(4)
})

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
