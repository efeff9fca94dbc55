import { describe, expect, test } from 'bun:test'
import { configOf, SERVER_KEY, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { cut, gate, hang, json, sse } from '#tests/support/upstream.ts'
import { requestReport } from '#wire/requests.ts'

const EVENTS = chatEvents('test-model')

async function reportOf({ url }: TestGateway, id: string | null) {
  return requestReport.parse(await (await fetch(`${url}/v1/requests/${id}`)).json())
}

describe('what happened to a request', () => {
  test('a failover is told attempt by attempt, without the words of the server', async () => {
    const story = `backend http://10.1.2.3:8000 refused ${SERVER_KEY}`
    await using broken = await startModelServer(json(500, { error: { message: story } }))
    await using well = await startModelServer(openAiScript())
    await using gateway = await startGateway(configOf([broken, well]))

    const answered = await gateway.chat()
    await answered.text()
    const report = await reportOf(gateway, answered.headers.get('x-request-id'))

    expect(report).toMatchObject({ outcome: 'ok', status: 200, code: null, model: 'chat', server: 'b' })
    expect(report.candidates.map(({ server }) => server)).toEqual(['a', 'b'])
    expect(report.attempts.at(0)).toMatchObject({ server: 'a', result: 'upstream_error' })
    expect(report.attempts.at(-1)).toMatchObject({ server: 'b', result: 'ok' })
    expect(report.timings.dialled_ms).not.toBeNull()
    expect(JSON.stringify(report)).not.toContain('10.1.2.3')
    expect(JSON.stringify(report)).not.toContain('127.0.0.1')
    expect(JSON.stringify(report)).not.toContain(SERVER_KEY)
  })

  test('a stream is running until it ends', async () => {
    const go = gate()
    await using server = await startModelServer(sse([...EVENTS.slice(0, 2), go, ...EVENTS.slice(2)]))
    await using gateway = await startGateway(configOf([server]))

    const answered = await gateway.chat({ stream: true })
    const id = answered.headers.get('x-request-id')
    const before = await reportOf(gateway, id)
    go.open()
    await answered.text()
    const after = await reportOf(gateway, id)

    expect(before).toMatchObject({ outcome: 'running', status: 200, stream: true, server: 'a' })
    expect(before.timings.answered_ms).toBeNull()
    expect(after).toMatchObject({ outcome: 'ok', status: 200 })
    expect(after.timings.total_ms).toBeGreaterThanOrEqual(before.timings.total_ms)
  })

  test('a stream that broke off is told as such', async () => {
    const go = gate()
    await using server = await startModelServer(sse([...EVENTS.slice(0, 2), go, cut()]))
    await using gateway = await startGateway(configOf([server]))

    const answered = await gateway.chat({ stream: true })
    go.open()
    await answered.text()

    expect(await reportOf(gateway, answered.headers.get('x-request-id'))).toMatchObject({
      outcome: 'interrupted',
      code: 'stream_interrupted',
    })
  })

  test('a caller that left is told as such', async () => {
    await using server = await startModelServer(hang())
    await using gateway = await startGateway(configOf([server]))

    const leaving = new AbortController()
    const call = gateway.chat({}, { signal: leaving.signal }).catch(() => null)
    await server.called(1)
    leaving.abort()
    await call
    const line = await gateway.logged({ outcome: 'cancelled' })

    expect(await reportOf(gateway, String(line.request_id))).toMatchObject({
      outcome: 'cancelled',
      code: 'client_closed_request',
      attempts: [{ server: 'a', result: 'client_closed_request' }],
    })
  })
})
