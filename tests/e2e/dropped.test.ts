import { expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { chatCompletion } from '#tests/support/openai-upstream.ts'
import { json, ndjson } from '#tests/support/upstream.ts'

const HEADER = 'x-citadel-dropped-parameters'
const line = { model: 'm', created_at: '2026-01-01T00:00:00Z', done: true, done_reason: 'stop' }
const answer = { ...line, message: { role: 'assistant', content: 'Hi' } }

async function reportOf(url: string, response: Response): Promise<Tree> {
  return (await fetch(`${url}/v1/requests/${response.headers.get('x-request-id')}`)).json() as Promise<Tree>
}

test('what a server has no place for is told, of plain and of streamed answers', async () => {
  const server = await startModelServer(({ body }) =>
    JSON.parse(body).stream ? ndjson(`${JSON.stringify(answer)}\n`) : json(200, JSON.stringify(answer)),
  )
  await using gateway = await startGateway(configOf([server], { kind: 'ollama' }))

  const plain = await gateway.chat({ user: 'u', store: false, temperature: 0 })
  const streamed = await gateway.chat({ stream: true, user: 'u' })

  expect(plain.headers.get(HEADER)).toBe('user, store')
  expect(streamed.headers.get(HEADER)).toBe('user')
  expect(await streamed.text()).toContain('[DONE]')
  expect(await reportOf(gateway.url, plain)).toMatchObject({ attempts: [{ dropped_parameters: ['user', 'store'] }] })
  await server.close()
})

test('only what the server that answered left out is told, and nothing of it when that is nothing', async () => {
  const broken = await startModelServer(() => json(500, '{"error":"broken"}'))
  const whole = await startModelServer(() => json(200, JSON.stringify(chatCompletion('test-model'))))
  const { servers, ...rest } = configOf([broken, whole])
  const [first, second] = servers as readonly Tree[]
  await using gateway = await startGateway({ ...rest, servers: [{ ...first, kind: 'ollama' }, second] })

  const response = await gateway.chat({ user: 'u' })

  expect([response.status, response.headers.get('x-citadel-server')]).toEqual([200, 'b'])
  expect(response.headers.has(HEADER)).toBe(false)
  expect(await reportOf(gateway.url, response)).toMatchObject({
    attempts: [
      { server: 'a', dropped_parameters: ['user'] },
      { server: 'b', dropped_parameters: [] },
    ],
  })
  await broken.close()
  await whole.close()
})

test('a server that cannot do what is asked is left out, and the report says why', async () => {
  const server = await startModelServer(() => json(200, JSON.stringify(chatCompletion('test-model'))))
  const config = configOf([server])
  const models = {
    chat: { targets: [{ server: 'a', model: 'test-model' }], capabilities: { tools: false }, fallbacks: ['able'] },
    able: { targets: [{ server: 'a', model: 'other-model' }] },
  }
  await using gateway = await startGateway({ ...config, models })

  const response = await gateway.chat({ tools: [{ type: 'function', function: { name: 'f' } }] })

  expect(response.headers.get('x-citadel-model')).toBe('able')
  expect(await reportOf(gateway.url, response)).toMatchObject({
    candidates: [{ model: 'able' }],
    excluded: [{ server: 'a', model: 'chat', reason: 'cannot call tools' }],
  })
  await server.close()
})
