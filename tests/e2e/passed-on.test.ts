import { describe, expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { rawStream } from '#tests/support/raw-chat.ts'
import { until } from '#tests/support/until.ts'
import { cut, gate, hang, inTurn, type Script, sse } from '#tests/support/upstream.ts'

const stream = { stream: true }
const [role = '', one = '', two = ''] = chatEvents('test-model')

/** Two servers, of which the first breaks off in the middle; who began the answer has left, and another one waits. */
async function leftAlone(second: Script, more: Tree) {
  const middle = gate()
  const first = await startModelServer(inTurn(sse([role, one, middle, cut()]), sse([role, one, hang()])))
  const spare = await startModelServer(second)
  const gateway = await startGateway(configOf([first, spare], { cache: { enabled: true }, ...more }))
  const leader = rawStream(gateway.port)
  await leader.until(text => text.includes('Hello'))
  const follower = await gateway.chat(stream)
  leader.socket.destroy()
  await gateway.logged({ outcome: 'cancelled' })
  return {
    gateway,
    middle,
    follower,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await first[Symbol.asyncDispose]()
      await spare[Symbol.asyncDispose]()
    },
  }
}

describe('an answer that goes on without who began it', () => {
  const limits = { per_model: { chat: { concurrent_requests: 1 } } }

  test('counts as under way for its model until it is over', async () => {
    await using setup = await leftAlone(openAiScript(), { limits })
    const { gateway, middle, follower } = setup

    const meanwhile = await gateway.chat({ seed: 1, ...stream })
    expect(meanwhile.status).toBe(429)
    middle.open()

    expect(await follower.text()).toContain('[DONE]')
  })

  test('counts no longer, also where it has gone on at another server', async () => {
    await using setup = await leftAlone(openAiScript(), { limits })
    const { gateway, middle, follower } = setup

    middle.open()
    await follower.text()
    await gateway.logged({ outcome: 'recovered' })

    expect((await gateway.chat({ seed: 2, ...stream })).status).toBe(200)
  })

  test('nobody goes on with one that breaks off: who began it pays, and its model is free again', async () => {
    const middle = gate()
    await using first = await startModelServer(inTurn(sse([role, one, middle, cut()]), openAiScript()))
    await using other = await startModelServer(inTurn(sse([role, two]), openAiScript()))
    await using gateway = await startGateway(configOf([first, other], { cache: { enabled: true }, limits }))
    const readers = [await gateway.chat(stream), await gateway.chat(stream)]
    middle.open()
    for (const reader of readers) expect(await reader.text()).toContain('stream_interrupted')

    const broken = () => gateway.lines.filter(({ outcome }) => outcome === 'interrupted')
    await until('both are over', 5000, () => broken().length === 2)
    expect(broken().map(({ attempts, tokens_in }) => [attempts, tokens_in])).toEqual([
      [2, 1],
      [0, undefined],
    ])
    expect((await gateway.chat({ seed: 1, ...stream })).status).toBe(200)
  })

  test('is its model’s, and counted for its limits, also when all have left before it began', async () => {
    await using server = await startModelServer(inTurn(sse([role, hang()]), openAiScript()))
    const perModel = { limits: { per_model: { chat: { tokens_per_hour: 100 } } } }
    await using gateway = await startGateway(configOf([server], { cache: { enabled: true }, ...perModel }))
    const long = { max_tokens: 1, messages: [{ role: 'user', content: 'x'.repeat(200) }] }
    const clients = [rawStream(gateway.port, long)]
    await server.called(1)
    clients.push(rawStream(gateway.port, long))
    // Another question that reaches the server shows that the second one has had its turn.
    await (await gateway.chat({ max_tokens: 1 })).text()

    for (const client of clients) client.socket.destroy()
    const left = () => gateway.lines.filter(line => line.outcome === 'cancelled')
    await until('both have left', 5000, () => left().length === 2)
    const again = await gateway.chat({ ...long, max_tokens: 30, seed: 1 })

    expect(left().map(({ model, outcome }) => [model, outcome])).toEqual(Array(2).fill(['chat', 'cancelled']))
    expect(again.status).toBe(429)
  })

  test.each([{}, stream])('counts no longer for who has left while others wait for it: %p', async form => {
    const answer = gate()
    const ready = openAiScript()
    await using server = await startModelServer(async request => [
      answer,
      typeof ready === 'function' ? await ready(request) : ready,
    ])
    const limits = { enabled: true, per_client: { requests_per_minute: 0, concurrent_requests: 4 } }
    await using gateway = await startGateway(configOf([server], { cache: { enabled: true }, limits }))
    const leaving = [new AbortController(), new AbortController()]
    const ask = (signal?: AbortSignal) => gateway.chat(form, { signal: signal ?? null }).catch(() => null)
    const [first, second] = leaving.map(({ signal }) => signal)
    void ask(first)
    await server.called(1)
    void ask(second)
    const patient = ask()
    // Another question that reaches the server shows that the others have had their turn.
    const marker = gateway.chat({ seed: 1 })
    await server.called(2)

    const left = (count: number) => gateway.lines.filter(line => line.outcome === 'cancelled').length === count
    leaving[0]?.abort()
    await until('who began has left', 3000, () => left(1))
    const third = ask()
    leaving[1]?.abort()
    await until('who came second has left', 3000, () => left(2))
    const fourth = ask()
    answer.open()

    const statuses = (await Promise.all([patient, third, fourth, marker])).map(response => response?.status)
    expect(statuses).toEqual([200, 200, 200, 200])
    expect(server.calls).toHaveLength(2)
  })
})
