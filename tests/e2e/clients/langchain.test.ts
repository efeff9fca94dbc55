import { describe, expect, test } from 'bun:test'
import { HumanMessage, type ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { z } from 'zod'
import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { chatCompletion, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { gate, hang, json, type Script, sse } from '#tests/support/upstream.ts'
import { all, delta, each, streamOf } from './streams.ts'

const weather = tool(async ({ city }) => `21 degrees in ${city}`, {
  name: 'weather',
  description: 'Says the weather.',
  schema: z.object({ city: z.string() }),
})
const calls = ['Rome', 'Oslo'].map((city, index) => ({
  index,
  id: `call_${index}`,
  type: 'function',
  function: { name: 'weather', arguments: JSON.stringify({ city }) },
}))

test('a plain answer comes with its usage', async () => {
  await using at = await modelOf(openAiScript())

  const answer = await at.model.invoke('Hi')

  expect(answer.content).toBe('Hello there!')
  expect(answer.usage_metadata).toMatchObject({ input_tokens: 7, output_tokens: 3 })
})

for (const streamUsage of [false, true]) {
  test(`a stream comes ${streamUsage ? 'with' : 'without'} usage`, async () => {
    await using at = await modelOf(openAiScript(), { streamUsage })

    const chunks = await all(await at.model.stream('Hi'))

    expect(chunks.map(chunk => chunk.content).join('')).toBe('Hello there!')
    expect(chunks.some(chunk => chunk.usage_metadata?.output_tokens === 3)).toBe(streamUsage)
  })
}

for (const stream of [false, true]) {
  test(`parallel tool calls are read and answered (${stream ? 'stream' : 'plain'})`, async () => {
    const message = { role: 'assistant', content: null, tool_calls: calls }
    const first = stream
      ? sse(
          streamOf(
            calls.map(call => delta({ tool_calls: [call] })),
            'tool_calls',
          ),
        )
      : json(200, { ...chatCompletion('m'), choices: [{ index: 0, message, finish_reason: 'tool_calls' }] })
    await using at = await modelOf(request => (request.index === 0 ? first : json(200, chatCompletion('m'))))
    const model = at.model.bindTools([weather])

    const asked = stream
      ? (await all(await model.stream('Hi'))).reduce((a, b) => a.concat(b))
      : await model.invoke('Hi')
    const results = await Promise.all(
      (asked.tool_calls ?? []).map(call => weather.invoke({ ...call, type: 'tool_call' })),
    )
    const answer = await model.invoke([new HumanMessage('Hi'), asked, ...results.map(each => each as ToolMessage)])

    expect(asked.tool_calls?.map(call => call.args)).toEqual([{ city: 'Rome' }, { city: 'Oslo' }])
    expect(answer.content).toBe('Hello there!')
    expect(at.asked(1)).toMatchObject({ messages: [{}, {}, { tool_call_id: 'call_0' }, { tool_call_id: 'call_1' }] })
  })
}

test('structured output is asked for and read', async () => {
  await using at = await modelOf(openAiScript({ deltas: ['{"city":', '"Rome"}'] }))
  const schema = z.object({ city: z.string() })

  const found = await at.model.withStructuredOutput(schema, { name: 'place', method: 'jsonSchema' }).invoke('Hi')

  expect(found).toEqual({ city: 'Rome' })
  expect(at.asked(0)).toMatchObject({ response_format: { type: 'json_schema', json_schema: { name: 'place' } } })
})

test('images go to the server', async () => {
  await using at = await modelOf(openAiScript())
  const content = [
    { type: 'text', text: 'What?' },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
  ]

  await at.model.invoke([new HumanMessage({ content })])

  expect(at.asked(0)).toMatchObject({ messages: [{ role: 'user', content }] })
})

for (const encodingFormat of ['float', 'base64', undefined] as const) {
  test(`embeddings come one for each text (${encodingFormat ?? 'as the client prefers'})`, async () => {
    await using at = await modelOf(openAiScript())
    const configuration = { baseURL: at.baseURL }
    const embeddings = new OpenAIEmbeddings({ model: 'chat', apiKey: 'sk-anything', configuration, encodingFormat })

    const vectors = await embeddings.embedDocuments(['a', 'b'])

    expect(vectors).toHaveLength(2)
    if (encodingFormat !== 'base64') expect(vectors[1]).toEqual([0.5, -0.25, 1])
  })
}

describe('a failure has its status and code', () => {
  for (const { status, upstream, code } of [
    { status: 400, upstream: openAiError(400, 'temperature is wrong', null), code: 'invalid_request' },
    { status: 404, upstream: openAiError(404, 'The model is gone', 'model_not_found'), code: 'model_not_found' },
    { status: 429, upstream: openAiError(429, 'slow down', null), code: 'provider_rate_limited' },
    { status: 502, upstream: openAiError(403, 'bad key', null), code: 'upstream_auth_failed' },
    { status: 503, upstream: openAiError(500, 'oh', null), code: 'all_targets_failed' },
    { status: 504, upstream: hang(), code: 'upstream_timeout' },
  ]) {
    test(`${status} ${code}`, async () => {
      await using at = await modelOf(upstream)

      const failure = await at.model.invoke('Hi').catch(error => error)

      expect(failure).toBeInstanceOf(Error)
      expect(failure).toMatchObject({ status, code })
    })
  }

  test('a prompt that is too long is known as such', async () => {
    await using at = await modelOf(openAiError(400, 'maximum context length is 10', null))

    const failure = await at.model.invoke('Hi').catch(error => error)

    expect(failure.name).toBe('ContextOverflowError')
  })

  test('an error in the middle of a stream is thrown after what came before', async () => {
    const broken = [...streamOf([delta({ content: 'One' })]).slice(0, 2), { error: { message: 'oh' } }]
    await using at = await modelOf(sse(broken))
    const seen: unknown[] = []

    const failure = await each(await at.model.stream('Hi'), chunk => seen.push(chunk.content)).catch(error => error)

    expect(seen.join('')).toBe('One')
    expect(failure).toMatchObject({ code: 'stream_interrupted' })
  })
})

for (const stream of [false, true]) {
  test(`an abort ends the ${stream ? 'stream' : 'call'} at the server`, async () => {
    const end = gate()
    await using at = await modelOf(stream ? sse([...streamOf([delta({ content: 'One' })]).slice(0, 2), end]) : end)
    const leaving = new AbortController()
    const options = { signal: leaving.signal }

    const ended = stream ? at.model.stream('Hi', options).then(all) : at.model.invoke('Hi', options)
    const failure = ended.catch(error => error)
    await end.reached
    leaving.abort()
    await failure

    await (await at.server.called(1)).closed
    expect(await at.logged({ outcome: 'cancelled' })).toMatchObject({ stream })
  })
}

async function modelOf(script: Script, options: { readonly streamUsage?: boolean } = {}, more: Tree = {}) {
  const server = await startModelServer(script)
  const gateway = await startGateway(configOf([server], { timeouts: { first_byte: '200ms' }, ...more }))
  const baseURL = `${gateway.url}/v1`
  return {
    server,
    baseURL,
    model: new ChatOpenAI({
      model: 'chat',
      apiKey: 'sk-anything',
      configuration: { baseURL },
      maxRetries: 0,
      ...options,
    }),
    asked: (index: number) => server.calls[index]?.json(),
    logged: gateway.logged,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}
