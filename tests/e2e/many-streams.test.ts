import { expect, test } from 'bun:test'
import { startModelServer } from '#tests/support/gateway.ts'
import { startLiveGateway } from '#tests/support/live-gateway.ts'
import { chatEvents } from '#tests/support/openai-upstream.ts'
import { rawStream } from '#tests/support/raw-chat.ts'
import { gate, sse } from '#tests/support/upstream.ts'

const STREAMS = 1000
const LIMIT_MS = 30_000

// In a process of its own: the runtime allows 256 requests at once unless it is told otherwise before it starts, which
// is what the command does, and what the runner of these tests cannot do for itself.
test(
  `${STREAMS} streams run at once, none waiting for another to end`,
  async () => {
    const everybody = gate()
    const [role = '', one = '', ...rest] = chatEvents('test-model')
    await using server = await startModelServer(sse([role, one, everybody, ...rest]))
    const gateway = await startLiveGateway(
      JSON.stringify({ models: { chat: { endpoint: server.url } }, limits: { enabled: false } }),
    )

    const port = Number(new URL(gateway.url).port)
    const clients = Array.from({ length: STREAMS }, () => rawStream(port))
    await Promise.all(clients.map(client => client.until(text => text.includes('Hello'))))
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
    const finished = clients.filter(client => client.text().includes('[DONE]')).length
    everybody.open()
    const texts = await Promise.all(clients.map(client => client.until(text => text.includes('[DONE]'))))
    for (const client of clients) client.socket.destroy()
    await gateway.stop()

    expect(finished).toBe(0)
    expect(metrics).toContain(`\ngateway_streams_active ${STREAMS}\n`)
    expect(metrics).toContain(`\ngateway_inflight{server="chat"} ${STREAMS}\n`)
    expect(texts.every(text => text.startsWith('HTTP/1.1 200 '))).toBe(true)
  },
  LIMIT_MS,
)
