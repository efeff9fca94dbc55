import { expect, test } from 'bun:test'
import { type BodyClient, bodyClient } from '#tests/support/body-client.ts'
import { callBody, startModelServer } from '#tests/support/gateway.ts'
import { startLiveGateway } from '#tests/support/live-gateway.ts'
import { chatEvents } from '#tests/support/openai-upstream.ts'
import { gate, sse } from '#tests/support/upstream.ts'

const STREAMS = 1000
const WARM_UP = 50
const ANSWER_BYTES = 1024 * 1024
const MEMORY_MAX = 60_000_000
const LIMIT_MS = 60_000

const deltas = Array.from({ length: 1024 }, (_, at) => `${at} `.padEnd(ANSWER_BYTES / 1024, 'x'))

/** The memory of the gateway in bytes, as it says itself. */
async function memoryOf(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1])
}

/** A stream of the usual call, or of another one. */
function streaming(port: number, more: object = {}): BodyClient {
  const body = JSON.stringify(callBody({ stream: true, ...more }))
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}`
  return bodyClient(port, `${head}\r\n\r\n${body}`)
}

test(
  `${STREAMS} equal streams are one call upstream, and ${STREAMS} equal answers of a megabyte`,
  async () => {
    const everybody = gate()
    const [role = '', first = '', ...rest] = chatEvents('test-model', { deltas })
    await using server = await startModelServer(request =>
      request.index === 0 ? sse([role, first, ...rest]) : sse([role, first, everybody, ...rest]),
    )
    const gateway = await startLiveGateway(
      JSON.stringify({
        models: { chat: { endpoint: server.url } },
        limits: { enabled: false },
        cache: { enabled: true },
      }),
    )
    try {
      const port = Number(new URL(gateway.url).port)
      // A gateway that has compiled its code and rests.
      await Promise.all(Array.from({ length: WARM_UP }, () => streaming(port, { seed: 1 }).done))
      const idle = await memoryOf(gateway.url)
      const clients = Array.from({ length: STREAMS }, () => streaming(port))
      await Promise.all(clients.map(client => client.begun))
      everybody.open()
      const [digests, most] = await watched(Promise.all(clients.map(client => client.done)), () =>
        memoryOf(gateway.url),
      )
      const [one] = digests

      expect(server.calls).toHaveLength(2)
      expect(one?.status).toBe(200)
      expect(one?.bytes).toBeGreaterThan(ANSWER_BYTES)
      expect(new Set(digests.map(({ sha256 }) => sha256)).size).toBe(1)
      expect(most - idle).toBeLessThanOrEqual(MEMORY_MAX)
    } finally {
      await gateway.stop()
    }
  },
  LIMIT_MS,
)

/** Measures for as long as something is under way; gives its result and the largest measurement. */
async function watched<T>(work: Promise<T>, measure: () => Promise<number>): Promise<readonly [T, number]> {
  let over = false
  const end = () => {
    over = true
  }
  work.then(end, end)
  let most = 0
  while (!over) most = Math.max(most, await measure())
  return [await work, most]
}
