import { describe, expect, test } from 'bun:test'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'
import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { chatCompletion, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { gate, hang, inTurn, json, type Script, sse } from '#tests/support/upstream.ts'
import { all, delta, streamOf } from './streams.ts'

const weather = tool({
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `21 degrees in ${city}`,
})
const calls = ['Rome', 'Oslo'].map((city, index) => ({
  index,
  id: `call_${index}`,
  type: 'function',
  function: { name: 'weather', arguments: JSON.stringify({ city }) },
}))

test('a plain answer comes with its usage', async () => {
  await using at = await modelOf(openAiScript())

  const { text, usage, finishReason } = await generateText({ model: at.model, prompt: 'Hi' })

  expect([text, finishReason, usage.inputTokens, usage.outputTokens]).toEqual(['Hello there!', 'stop', 7, 3])
})

for (const includeUsage of [false, true]) {
  test(`a stream comes ${includeUsage ? 'with' : 'without'} usage`, async () => {
    await using at = await modelOf(openAiScript(), { includeUsage })

    const result = streamText({ model: at.model, prompt: 'Hi' })

    expect(await all(result.textStream)).toEqual(['Hello', ' there', '!'])
    expect((await result.usage).outputTokens).toBe(includeUsage ? 3 : undefined)
    expect(await result.finishReason).toBe('stop')
  })
}

for (const stream of [false, true]) {
  test(`parallel tools run and their results go back (${stream ? 'stream' : 'plain'})`, async () => {
    const message = { role: 'assistant', content: null, tool_calls: calls }
    const first = stream
      ? sse(
          streamOf(
            calls.map(call => delta({ tool_calls: [call] })),
            'tool_calls',
          ),
        )
      : json(200, { ...chatCompletion('m'), choices: [{ index: 0, message, finish_reason: 'tool_calls' }] })
    await using at = await modelOf(inTurn(first, openAiScript()))

    const asked = { model: at.model, prompt: 'Hi', tools: { weather }, stopWhen: stepCountIs(2) }
    const text = stream ? (await all(streamText(asked).textStream)).join('') : (await generateText(asked)).text

    expect(text).toBe('Hello there!')
    const { messages } = at.asked(1) as { readonly messages: readonly { readonly content: unknown }[] }
    expect(messages.slice(-2).map(each => each.content)).toEqual(['21 degrees in Rome', '21 degrees in Oslo'])
  })
}

for (const stream of [false, true]) {
  test(`structured output is asked for and read (${stream ? 'stream' : 'plain'})`, async () => {
    await using at = await modelOf(openAiScript({ deltas: ['{"city":', '"Rome"}'] }))
    const output = Output.object({ schema: z.object({ city: z.string() }) })

    const asked = { model: at.model, prompt: 'Hi', output }
    const found = stream ? await finalOf(streamText(asked)) : (await generateText(asked)).output

    expect(found).toEqual({ city: 'Rome' })
    expect(at.asked(0)).toMatchObject({ response_format: { type: 'json_schema' } })
  })
}

test('images go to the server', async () => {
  await using at = await modelOf(openAiScript())
  const image = Buffer.from('iVBORw0KGgoAAAANSUhEUg==', 'base64')

  await generateText({
    model: at.model,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What?' },
          { type: 'image', image },
        ],
      },
    ],
  })

  expect(at.asked(0)).toMatchObject({
    messages: [
      {
        content: [
          { type: 'text' },
          { type: 'image_url', image_url: { url: `data:image/png;base64,${image.toString('base64')}` } },
        ],
      },
    ],
  })
})

test('reasoning comes apart from the text', async () => {
  await using at = await modelOf(sse(streamOf([delta({ reasoning_content: 'Hm.' }), delta({ content: 'Yes.' })])))

  const result = streamText({ model: at.model, prompt: 'Hi' })

  expect(await result.text).toBe('Yes.')
  expect(await result.reasoningText).toBe('Hm.')
})

test('embeddings come one for each value', async () => {
  await using at = await modelOf(openAiScript())

  const { embeddings, usage } = await embedMany({ model: at.embeddings, values: ['a', 'b'] })

  expect(embeddings).toEqual([
    [0.5, -0.25, 1],
    [0.5, -0.25, 1],
  ])
  expect(usage.tokens).toBe(5)
})

describe('a failure has its status and says whether to try again', () => {
  for (const { status, upstream, code } of [
    { status: 400, upstream: openAiError(400, 'maximum context length is 10', null), code: 'context_length_exceeded' },
    { status: 404, upstream: openAiError(404, 'The model is gone', 'model_not_found'), code: 'model_not_found' },
    { status: 429, upstream: openAiError(429, 'slow down', null), code: 'provider_rate_limited' },
    { status: 502, upstream: openAiError(403, 'bad key', null), code: 'upstream_auth_failed' },
    { status: 503, upstream: openAiError(500, 'oh', null), code: 'all_targets_failed' },
    { status: 504, upstream: hang(), code: 'upstream_timeout' },
  ]) {
    test(`${status} ${code}`, async () => {
      await using at = await modelOf(upstream)

      const failure = await generateText({ model: at.model, prompt: 'Hi', maxRetries: 0 }).catch(error => error)

      expect(APICallError.isInstance(failure)).toBe(true)
      expect(failure).toMatchObject({ statusCode: status, data: { error: { code } } })
    })
  }

  test('an error in the middle of a stream comes as an error part', async () => {
    const broken = [...streamOf([delta({ content: 'One' })]).slice(0, 2), { error: { message: 'oh' } }]
    await using at = await modelOf(sse(broken))

    const result = streamText({ model: at.model, prompt: 'Hi', onError() {} })
    const parts = await all(result.fullStream)

    expect(parts.filter(part => part.type === 'text-delta')).toHaveLength(1)
    expect(parts.filter(part => part.type === 'error')).toHaveLength(1)
  })
})

for (const stream of [false, true]) {
  test(`an abort ends the ${stream ? 'stream' : 'call'} at the server`, async () => {
    const end = gate()
    await using at = await modelOf(stream ? sse([...streamOf([delta({ content: 'One' })]).slice(0, 2), end]) : end)
    const leaving = new AbortController()

    const asked = { model: at.model, prompt: 'Hi', abortSignal: leaving.signal }
    const ended = stream ? all(streamText(asked).fullStream) : generateText(asked).catch(error => error)
    await end.reached
    leaving.abort()
    await ended

    await (await at.server.called(1)).closed
    expect(await at.logged({ outcome: 'cancelled' })).toMatchObject({ stream })
  })
}

async function modelOf(script: Script, options: { readonly includeUsage?: boolean } = {}, more: Tree = {}) {
  const server = await startModelServer(script)
  const gateway = await startGateway(configOf([server], { timeouts: { first_byte: '200ms' }, ...more }))
  const provider = createOpenAICompatible({
    name: 'citadel',
    baseURL: `${gateway.url}/v1`,
    apiKey: 'sk-anything',
    supportsStructuredOutputs: true,
    ...options,
  })
  return {
    server,
    model: provider('chat'),
    embeddings: provider.embeddingModel('chat'),
    asked: (index: number) => server.calls[index]?.json(),
    logged: gateway.logged,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}

async function finalOf(result: { readonly output: PromiseLike<unknown>; readonly textStream: AsyncIterable<string> }) {
  await all(result.textStream)
  return result.output
}
