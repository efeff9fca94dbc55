import { describe, expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { startRedis } from '#tests/support/redis.ts'
import { bytes, cut, gate, inTurn, json, sse } from '#tests/support/upstream.ts'

const EVENTS = chatEvents('test-model')
const keyed: RequestInit = { headers: { 'idempotency-key': 'k' } }
const replayed = (response: Response) => response.headers.get('idempotency-replayed')

/** Asks until the key is free again, or its answer is there. */
async function whenFree(gateway: TestGateway, body: object = {}): Promise<Response> {
  for (;;) {
    const response = await gateway.chat(body, keyed)
    if (response.status !== 409) return response
    await response.text()
    await Bun.sleep(2)
  }
}

describe('twins', () => {
  test('a hundred at once are one call, and all others are told to wait', async () => {
    const go = gate()
    await using server = await startModelServer(sse([...EVENTS.slice(0, 2), go, ...EVENTS.slice(2)]))
    await using gateway = await startGateway(configOf([server]))

    const calls = Array.from({ length: 100 }, () => gateway.chat({ stream: true }, keyed))
    const answers = await Promise.all(calls)
    const refused = answers.filter(({ status }) => status === 409)
    go.open()
    const texts = await Promise.all(answers.map(answer => answer.text()))

    expect(server.calls).toHaveLength(1)
    expect(refused).toHaveLength(99)
    expect(refused[0]?.headers.get('retry-after')).toBe('1')
    expect(texts.filter(text => text.endsWith('data: [DONE]\n\n'))).toHaveLength(1)
    expect(texts.filter(text => text.includes('idempotency_conflict'))).toHaveLength(99)
  })

  test('one with another body is told so while the first runs', async () => {
    const go = gate()
    await using server = await startModelServer(sse([...EVENTS.slice(0, 2), go, ...EVENTS.slice(2)]))
    await using gateway = await startGateway(configOf([server]))

    const first = await gateway.chat({ stream: true }, keyed)
    const other = await gateway.chat({ stream: false }, keyed)
    go.open()
    await first.text()

    expect(other.status).toBe(422)
  })
})

describe('a stream', () => {
  test('is replayed as the same events, at once and without the server', async () => {
    await using server = await startModelServer(openAiScript())
    await using gateway = await startGateway(configOf([server]))

    const first = await gateway.chat({ stream: true }, keyed)
    const text = await first.text()
    const again = await gateway.chat({ stream: true }, keyed)

    expect([again.status, replayed(again)]).toEqual([200, 'true'])
    expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'))
    expect(await again.text()).toBe(text)
    expect(text).toEndWith('data: [DONE]\n\n')
    expect(server.calls).toHaveLength(1)
  })

  test('that broke off is not stored', async () => {
    const go = gate()
    const broken = sse([...EVENTS.slice(0, 2), go, cut()])
    await using server = await startModelServer(inTurn(broken, openAiScript()))
    await using gateway = await startGateway(configOf([server], { retry: { max_attempts: 1 } }))

    const first = await gateway.chat({ stream: true }, keyed)
    go.open()
    const text = await first.text()
    const again = await whenFree(gateway, { stream: true })

    expect(text).not.toContain('[DONE]')
    expect([again.status, replayed(again)]).toEqual([200, null])
    expect(await again.text()).toEndWith('data: [DONE]\n\n')
  })

  test('that the client leaves frees its key', async () => {
    const go = gate()
    const slow = sse([...EVENTS.slice(0, 2), go, ...EVENTS.slice(2)])
    await using server = await startModelServer(inTurn(slow, openAiScript()))
    await using gateway = await startGateway(configOf([server]))

    const leaving = new AbortController()
    const first = await gateway.chat({ stream: true }, { ...keyed, signal: leaving.signal })
    expect(first.status).toBe(200)
    leaving.abort()
    const again = await whenFree(gateway, { stream: true })

    expect([again.status, replayed(again)]).toEqual([200, null])
    expect(await again.text()).toEndWith('data: [DONE]\n\n')
  })

  test('of more than a megabyte is not stored', async () => {
    const large = { ...Object(EVENTS[1]), choices: [{ index: 0, delta: { content: 'x'.repeat(600_000) } }] }
    const script = sse([...EVENTS.slice(0, 2), large, large, ...EVENTS.slice(2)])
    await using server = await startModelServer(script)
    await using gateway = await startGateway(configOf([server]))

    const sizes: number[] = []
    for (let time = 0; time < 2; time++) sizes.push((await (await whenFree(gateway, { stream: true })).text()).length)

    expect(sizes[0]).toBeGreaterThan(1_200_000)
    expect(sizes[1]).toBe(sizes[0] ?? 0)
    expect(server.calls).toHaveLength(2)
  })
})

describe('a plain call', () => {
  test('that every server failed can be sent again', async () => {
    const failing = json(500, { error: { message: 'no' } })
    let well = false
    await using server = await startModelServer(() => (well ? json(200, chatCompletion('test-model')) : failing))
    await using gateway = await startGateway(configOf([server], { retry: { max_attempts: 1 } }))

    const first = await gateway.chat({}, keyed)
    well = true
    const again = await gateway.chat({}, keyed)

    expect(first.status).toBe(503)
    expect([again.status, replayed(again)]).toEqual([200, null])
    expect(replayed(await gateway.chat({}, keyed))).toBe('true')
  })

  test('that the client leaves frees its key', async () => {
    const go = gate()
    const answer = JSON.stringify(chatCompletion('test-model'))
    const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n`
    await using server = await startModelServer(
      inTurn([go, bytes(head), bytes(answer)], json(200, chatCompletion('test-model'))),
    )
    await using gateway = await startGateway(configOf([server]))

    const leaving = new AbortController()
    const first = gateway.chat({}, { ...keyed, signal: leaving.signal }).catch(() => null)
    await server.called(1)
    leaving.abort()
    await first
    const again = await whenFree(gateway)

    expect([again.status, replayed(again)]).toEqual([200, null])
  })
})

describe('two gateways with one Redis', () => {
  test('do a call once, and go on by themselves without it', async () => {
    const go = gate()
    const answer = json(200, chatCompletion('test-model'))
    await using redis = await startRedis()
    await using server = await startModelServer(inTurn([go, answer], answer))
    const config = configOf([server], { redis: { url: redis.url, timeout: '5s' } })
    await using one = await startGateway(config)
    await using two = await startGateway(config)

    const first = one.chat({}, keyed)
    await server.called(1)
    const meanwhile = await two.chat({}, keyed)
    const other = await two.chat({ seed: 1 }, keyed)
    go.open()
    const text = await (await first).text()
    const again = await whenFree(two)

    expect([meanwhile.status, other.status]).toEqual([409, 422])
    expect([again.status, replayed(again), await again.text()]).toEqual([200, 'true', text])
    await redis.kill()
    expect((await two.chat({}, { headers: { 'idempotency-key': 'alone' } })).status).toBe(200)
    expect(replayed(await two.chat({}, { headers: { 'idempotency-key': 'alone' } }))).toBe('true')
    expect(server.calls).toHaveLength(2)
  })
})
