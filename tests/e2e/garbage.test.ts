import { edenGC, fullGC, heapStats } from 'bun:jsc'
import { expect, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import { toRow } from '#gateway/ledger/row.ts'
import { createGateway } from '#src/index.ts'
import { callBody } from '#tests/support/gateway.ts'
import { recordOf } from '#tests/support/records.ts'
import { ownFolder } from '#tests/support/server-process.ts'
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

const CALLS = 40
const NAME_CHARACTERS = 1_000_000

/** What texts take beside the heap, in bytes. */
function heldBytes(): number {
  fullGC()
  return heapStats().extraMemorySize
}

test('what callers call their users is let go with their requests, however long it is', async () => {
  const folder = await ownFolder('citadel-garbage-')
  const gateway = createGateway(
    configFrom({
      service: { data_dir: folder.path },
      gateway: { discover: false, demo: true },
      limits: { enabled: false },
      auth: { mode: 'none' },
    }),
    { write() {} },
  )
  const call = async (index: number) => {
    const user = String(index).padEnd(NAME_CHARACTERS, 'u')
    const body = JSON.stringify(callBody({ model: 'citadel-demo', user }))
    const request = new Request('http://localhost/v1/chat/completions', { method: 'POST', body })
    expect((await gateway.fetch(request)).status).toBe(200)
  }
  try {
    await call(0)
    const before = heldBytes()
    for (let index = 1; index <= CALLS; index++) await call(index)
    await eventLoopTurn()

    expect(heldBytes() - before).toBeLessThan((CALLS * NAME_CHARACTERS) / 4)
  } finally {
    gateway.abort()
    await gateway.close()
    await folder.remove()
  }
})

test('a row that waits for the database holds no more of a name than it says', () => {
  const before = heldBytes()
  const rows = Array.from({ length: CALLS }, (_, index) =>
    toRow(recordOf({ user: JSON.parse(`"${String(index).padEnd(NAME_CHARACTERS, 'u')}"`) }), 0, null),
  )

  expect(heldBytes() - before).toBeLessThan((CALLS * NAME_CHARACTERS) / 4)
  expect(rows.map(row => row.user_id?.length)).toEqual(rows.map(() => 2048))
})
