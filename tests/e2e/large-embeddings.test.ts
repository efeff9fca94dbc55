import { expect, test } from 'bun:test'
import OpenAI from 'openai'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { json } from '#tests/support/upstream.ts'

/** Of the largest model of OpenAI, half of what it takes at once. */
const [DIMENSIONS, INPUTS] = [3072, 1100]

test('a large batch of vectors arrives, and is asked for once', async () => {
  const vector = Buffer.from(new Float32Array(DIMENSIONS).fill(0.5).buffer).toString('base64')
  const data = Array.from({ length: INPUTS }, (_, index) => ({ object: 'embedding', index, embedding: vector }))
  const usage = { prompt_tokens: INPUTS, total_tokens: INPUTS }
  const server = await startModelServer(json(200, { object: 'list', model: 'm', data, usage }))
  await using gateway = await startGateway(configOf([server]))
  const client = new OpenAI({ apiKey: 'none', baseURL: `${gateway.url}/v1`, maxRetries: 0 })

  const answer = await client.embeddings.create({ model: 'chat', input: data.map(() => 'x') })

  expect(answer.data).toHaveLength(INPUTS)
  expect(answer.data.at(-1)?.embedding).toHaveLength(DIMENSIONS)
  expect(server.calls).toHaveLength(1)
  await server.close()
})
