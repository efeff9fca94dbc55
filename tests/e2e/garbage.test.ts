import { edenGC } from 'bun:jsc'
import { expect, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import { createGateway } from '#src/index.ts'
import { callBody } from '#tests/support/gateway.ts'
import { eventLoopTurn } from '#tests/support/socket-reads.ts'

const COLLECTIONS = 6
const BETWEEN = 150
const AT_ONCE = 10

test('a request that is over does not survive a collection of the young', async () => {
  const gateway = createGateway(
    configFrom({
      gateway: { discover: false, demo: true },
      limits: { enabled: false },
      cache: { enabled: true },
    }),
    { write() {} },
  )
  try {
    const seen: WeakRef<Request>[] = []
    const call = async () => {
      const body = JSON.stringify(callBody({ model: 'citadel-demo', seed: seen.length }))
      const request = new Request('http://localhost/v1/chat/completions', { method: 'POST', body })
      seen.push(new WeakRef(request))
      const response = await gateway.fetch(request)
      expect(response.status).toBe(200)
      await response.text()
    }
    for (let collection = 0; collection < COLLECTIONS; collection++) {
      for (let calls = 0; calls < BETWEEN; calls += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, call))
      // A weak reference holds what it was made of until the turn is over.
      await eventLoopTurn()
      edenGC()
    }
    const survivors = seen.filter(ref => ref.deref() !== undefined)

    expect(seen).toHaveLength(COLLECTIONS * BETWEEN)
    expect(survivors.length / seen.length).toBeLessThan(0.3)
  } finally {
    gateway.abort()
    await gateway.close()
  }
})
