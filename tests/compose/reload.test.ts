import { expect, test } from 'bun:test'
import { configFrom, createGateway } from '#src/index.ts'
import { connectionFrom } from '#tests/support/connection.ts'

const configured = (keepAlive: string) =>
  configFrom({
    service: { keep_alive: keepAlive, data_dir: '/nowhere' },
    gateway: { discover: false, demo: true },
    database: { url: 'sqlite::memory:' },
  })

/** For how long the connection of one stream may be silent, each time that it is said. */
async function silences(fetch: ReturnType<typeof createGateway>['fetch']): Promise<readonly number[]> {
  const said: number[] = []
  const connection = { ...connectionFrom('127.0.0.1'), idle: (seconds: number) => void said.push(seconds) }
  const body = JSON.stringify({ model: 'citadel-demo', stream: true, messages: [{ role: 'user', content: 'Hi' }] })
  const request = new Request('http://localhost/v1/chat/completions', { method: 'POST', body })
  await (await fetch(request, connection)).text()
  return said
}

test('how long connections are kept waits for the next start, also behind a stream', async () => {
  const gateway = createGateway(configured('5s'))
  await gateway.found
  const before = await silences(gateway.fetch)

  gateway.reload(configured('9s'))
  const after = await silences(gateway.fetch)
  await gateway.close()

  expect(before).toEqual([0, 5])
  expect(after).toEqual([0, 5])
})
