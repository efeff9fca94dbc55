import { expect, test } from 'bun:test'
import OpenAI from 'openai'
import { chatCompletion, chatEvents, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { inTurn, json, pause, reset, sse, startUpstream } from '#tests/support/upstream.ts'

const clientOf = (url: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-test', maxRetries: 0 })
const messages = [{ role: 'user' as const, content: 'Hi' }]

test('streams a role, the deltas, a finish and the usage that was asked for', async () => {
  await using upstream = await startUpstream(openAiScript({ deltas: ['a', 'b'] }))

  const stream = await clientOf(upstream.url).chat.completions.create({
    model: 'm',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  })
  const chunks = await Array.fromAsync(stream)

  const choices = chunks.map(chunk => chunk.choices[0])
  expect(choices[0]?.delta.role).toBe('assistant')
  expect(choices.map(choice => choice?.delta.content)).toEqual(['', 'a', 'b', undefined, undefined])
  expect(choices.map(choice => choice?.finish_reason)).toEqual([null, null, null, 'stop', undefined])
  expect(chunks.at(-1)).toMatchObject({ model: 'm', choices: [], usage: { total_tokens: 10 } })
})

test('leaves the usage out when nobody asked', async () => {
  await using upstream = await startUpstream(openAiScript())
  const body = JSON.stringify({ model: 'm', messages, stream: true })

  const answer = await fetch(`${upstream.url}/v1/chat/completions`, { method: 'POST', body })
  const text = await answer.text()

  expect(text).not.toContain('usage')
  expect(text).toEndWith('data: [DONE]\n\n')
})

test('answers whole completions, embeddings and the model list', async () => {
  await using upstream = await startUpstream(openAiScript({ models: ['one', 'two'], embedding: [0.5, -2] }))
  const client = clientOf(upstream.url)

  const completion = await client.chat.completions.create({ model: 'm', messages })
  // The SDK asks for base64 unless told otherwise.
  const packed = await client.embeddings.create({ model: 'e', input: ['x', 'y'] })
  const plain = await client.embeddings.create({ model: 'e', input: 'x', encoding_format: 'float' })
  const models = await Array.fromAsync(client.models.list())

  expect(completion.choices[0]?.message.content).toBe('Hello there!')
  expect(packed.data.map(item => [...item.embedding])).toEqual([
    [0.5, -2],
    [0.5, -2],
  ])
  expect(plain.data[0]?.embedding).toEqual([0.5, -2])
  expect(models.map(model => model.id)).toEqual(['one', 'two'])
})

test('words errors as the SDK expects them', async () => {
  await using upstream = await startUpstream(
    openAiError(429, 'Slow down', 'rate_limit_exceeded', { 'retry-after': '2' }),
  )

  const failure = await clientOf(upstream.url)
    .chat.completions.create({ model: 'm', messages })
    .catch(error => error)

  expect(failure).toMatchObject({ status: 429, code: 'rate_limit_exceeded' })
})

test('gives its parts to scripts of their own', async () => {
  const broken = sse([...chatEvents('m').slice(0, 2), pause(1), reset()])
  await using upstream = await startUpstream(inTurn(broken, json(200, chatCompletion('m', { deltas: ['whole'] }))))
  const client = clientOf(upstream.url)

  const stream = await client.chat.completions.create({ model: 'm', messages, stream: true }).catch(error => error)
  const cut = await Promise.resolve(Array.fromAsync(stream)).catch(error => error)
  const completion = await client.chat.completions.create({ model: 'm', messages })

  expect(cut).toBeInstanceOf(Error)
  expect(completion.choices[0]?.message.content).toBe('whole')
})
