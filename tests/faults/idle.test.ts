import { expect, test } from 'bun:test'
import { connect, type Socket } from 'node:net'
import { startGateway, type TestGateway } from '#tests/support/gateway.ts'

const SILENT = 1000
/** After this long a connection on which no whole request comes is closed. */
const CLOSED_MS = 30_000
const DRIP_MS = 2000
const CANARIES = 20

test(
  'F27: connections that say nothing, and headers that trickle, are closed; others are answered meanwhile',
  async () => {
    await using gateway = await startGateway({ gateway: { demo: true } })
    const startedAt = performance.now()
    const closings = await Promise.all(Array.from({ length: SILENT }, () => opened(gateway)))
    const dripping = await opened(gateway)
    dripping.socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n')
    const drip = setInterval(() => dripping.socket.write('x-more: and more\r\n'), DRIP_MS)

    const statuses: number[] = []
    for (let count = 0; count < CANARIES; count++) {
      const response = await gateway.chat({ model: 'citadel-demo' })
      await response.text()
      statuses.push(response.status)
    }
    await Promise.all([...closings, dripping].map(({ closed }) => closed))
    clearInterval(drip)

    expect(statuses).toEqual(Array(CANARIES).fill(200))
    expect(performance.now() - startedAt).toBeLessThan(CLOSED_MS)
    expect(gateway.lines.filter(({ route }) => route === '/v1/chat/completions')).toHaveLength(CANARIES)
  },
  CLOSED_MS + 10_000,
)

function opened({ port }: TestGateway): Promise<{ readonly socket: Socket; readonly closed: Promise<void> }> {
  const socket = connect(port, '127.0.0.1')
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.on('error', () => {})
  return new Promise(resolve => socket.once('connect', () => resolve({ socket, closed })))
}
