import { describe, expect, test } from 'bun:test'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateText, stepCountIs, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { z } from 'zod'
import type { JsonObject } from '#lib/json.ts'
import { endpointOf, isModelCall } from '#tests/providers/replay.ts'
import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { chatCompletion } from '#tests/support/openai-schema.ts'
import { playRecorded, recordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { inTurn, json, type Script, sse, startUpstream } from '#tests/support/upstream.ts'

const messages = [{ role: 'user' as const, content: 'Hi' }]
const BROKEN = 'gemini/stream-error-midstream-json'
const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 4, thoughtsTokenCount: 2, totalTokenCount: 16 }

const cases = recordedCases('gemini').filter(each => isModelCall(each) && each.status === 200)
const chats = cases.filter(each => endpointOf(each) === 'chat' && each.name !== BROKEN)
const plain = chats.filter(({ streamed }) => !streamed).map(each => [each.name, each] as const)
const streams = chats.filter(({ streamed }) => streamed).map(each => [each.name, each] as const)

describe.skipIf(sharedDir() === null)('recorded answers over a socket are read by', () => {
  test.each(plain)("OpenAI's client: %s", async (_, recorded) => {
    await using at = await start(playRecorded(recorded))

    const answer = await at.client.chat.completions.create({ model: 'chat', messages })

    chatCompletion.parse(answer)
    expect(at.calls[0]?.path).toBe('/v1beta/models/test-model:generateContent')
    expect(at.calls[0]?.headers['x-goog-api-key']).toBe('key-1')
  })

  test.each(streams)("OpenAI's client, streamed: %s", async (_, recorded) => {
    await using at = await start(playRecorded(recorded))

    const stream = at.client.chat.completions.stream({
      model: 'chat',
      messages,
      stream_options: { include_usage: true },
    })
    const answer = await stream.finalChatCompletion()

    expect(answer.choices[0]?.finish_reason).toBeString()
    expect(answer.usage != null).toBe(recorded.text.includes('usageMetadata'))
    expect(at.calls[0]?.path).toBe('/v1beta/models/test-model:streamGenerateContent?alt=sse')
  })

  test.each(plain)('the AI SDK: %s', async (_, recorded) => {
    await using at = await start(playRecorded(recorded))

    const { finishReason } = await generateText({ model: at.model, prompt: 'Hi' })

    expect(finishReason).toBeOneOf(['stop', 'length', 'tool-calls', 'content-filter'])
  })

  test.each(streams)('the AI SDK, streamed: %s', async (_, recorded) => {
    await using at = await start(playRecorded(recorded))
    const problems: unknown[] = []

    const result = streamText({ model: at.model, prompt: 'Hi', onError: ({ error }) => void problems.push(error) })
    await result.consumeStream()

    expect(problems).toEqual([])
    expect(await result.finishReason).toBeOneOf(['stop', 'tool-calls', 'content-filter'])
  })

  test('an error of its own, when the stream breaks off with bare JSON', async () => {
    await using at = await start(playRecorded(recordedCase(BROKEN)))

    const text = await (await at.ask({ stream: true })).text()

    expect(text).toContain('Second ')
    expect(text).not.toContain('[DONE]')
    expect(text).toMatch(/data: \{"error":\{[^\n]+"code":"(?:stream_interrupted|upstream_error)"/)
  })
})

/** What the model does in each of four turns. */
const TURNS: readonly (readonly JsonObject[])[] = [
  [{ text: 'Paris first.', thought: true }, call('c1', 'Paris', 's1')],
  [{ text: 'Both others.', thought: true }, call('c2', 'Rome', 's2'), call('c3', 'Oslo')],
  [{ text: 'It is mild.' }, { text: '', thoughtSignature: 's3' }],
  [{ text: 'Yes.' }],
]

/** What the model is sent in the last turn. */
const LAST_REQUEST = [
  { role: 'user', parts: [{ text: 'How warm is it?' }] },
  { role: 'model', parts: [call('c1', 'Paris', 's1')] },
  { role: 'user', parts: [result('c1', 'Paris')] },
  { role: 'model', parts: [call('c2', 'Rome', 's2'), call('c3', 'Oslo')] },
  { role: 'user', parts: [result('c2', 'Rome'), result('c3', 'Oslo')] },
  { role: 'model', parts: [{ text: 'It is mild.', thoughtSignature: 's3' }] },
  { role: 'user', parts: [{ text: 'Sure?' }] },
]

function call(id: string, city: string, thoughtSignature?: string): JsonObject {
  const part = { functionCall: { id, name: 'weather', args: { city } } }
  return thoughtSignature === undefined ? part : { ...part, thoughtSignature }
}

function result(id: string, city: string): JsonObject {
  return { functionResponse: { id, name: 'weather', response: { output: `21 degrees in ${city}` } } }
}

function turnsOf(stream: boolean): Script {
  const [first, ...others] = TURNS.map((parts, at) => {
    const answer = (some: readonly JsonObject[], more: JsonObject = {}) => ({
      candidates: [{ content: { role: 'model', parts: some }, index: 0, ...more }],
      usageMetadata,
      responseId: `r${at}`,
      modelVersion: 'gemini-3-x',
    })
    if (!stream) return json(200, answer(parts, { finishReason: 'STOP' }))
    const events = [...parts.map(part => answer([part])), answer([{ text: '' }], { finishReason: 'STOP' })]
    return sse(events.map(event => `data: ${JSON.stringify(event)}\r\n\r\n`).join(''))
  })
  return inTurn(first ?? [], ...others)
}

const weather = {
  type: 'function' as const,
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}

for (const streamed of [false, true]) {
  const how = streamed ? 'streamed' : 'plain'

  test(`a conversation of four turns with tools and thinking keeps its signatures (OpenAI's client, ${how})`, async () => {
    await using at = await start(turnsOf(streamed), { target: 'gemini-3-x' })
    const history: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'How warm is it?' }]
    const turn = async () => {
      const asked = { model: 'chat', messages: history, tools: [weather], reasoning_effort: 'low' as const }
      const { choices } = streamed
        ? await at.client.chat.completions.stream(asked).finalChatCompletion()
        : await at.client.chat.completions.create(asked)
      const message = choices[0]?.message
      if (message === undefined) throw new Error('no message')
      history.push(message)
      for (const each of message.tool_calls ?? []) {
        if (each.type !== 'function') continue
        const { city } = JSON.parse(each.function.arguments)
        history.push({ role: 'tool', tool_call_id: each.id, content: `21 degrees in ${city}` })
      }
      return message
    }

    const thoughts = [await turn(), await turn()].map(each => 'reasoning_content' in each && each.reasoning_content)
    const third = await turn()
    history.push({ role: 'user', content: 'Sure?' })
    const fourth = await turn()

    expect(thoughts).toEqual(['Paris first.', 'Both others.'])
    expect([third.content, fourth.content]).toEqual(['It is mild.', 'Yes.'])
    expect(at.sent(3)).toMatchObject({
      generationConfig: { thinkingConfig: { includeThoughts: true, thinkingLevel: 'low' } },
    })
    expect(at.sent(3).contents).toEqual(LAST_REQUEST)
  })

  test(`the AI SDK runs the tools and sends the signatures back (${how})`, async () => {
    await using at = await start(turnsOf(streamed), { target: 'gemini-3-x' })
    const tools = {
      weather: tool({
        inputSchema: z.object({ city: z.string() }),
        execute: async ({ city }) => `21 degrees in ${city}`,
      }),
    }

    const asked = { model: at.model, prompt: 'How warm is it?', tools, stopWhen: stepCountIs(3) }
    const text = streamed ? await streamText(asked).text : (await generateText(asked)).text

    expect(text).toBe('It is mild.')
    expect(at.sent(2).contents).toEqual(LAST_REQUEST.slice(0, 5))
  })
}

test('embeddings come as the clients ask for them', async () => {
  const embeddings = [{ values: [0.5, -1] }, { values: [2, 0.25] }]
  await using at = await start(json(200, { embeddings }))

  const { data } = await at.client.embeddings.create({ model: 'chat', input: ['a', 'b'] })
  const { embeddings: vectors } = await embedMany({ model: at.embedder, values: ['a', 'b'] })

  expect(data.map(each => each.embedding)).toEqual([
    [0.5, -1],
    [2, 0.25],
  ])
  expect(vectors).toEqual([
    [0.5, -1],
    [2, 0.25],
  ])
  expect(at.calls.map(each => each.path)).toEqual(Array(2).fill('/v1beta/models/test-model:batchEmbedContents'))
})

test.skipIf(sharedDir() === null)('a recorded vector comes whole, although it travels as base64', async () => {
  const recorded = recordedCase('gemini/embed-batch-dimensions')
  await using at = await start(playRecorded(recorded))

  const { data, usage } = await at.client.embeddings.create({ model: 'chat', input: 'Hello, world!', dimensions: 768 })

  const { embeddings } = recorded.body as { readonly embeddings: readonly { readonly values: readonly number[] }[] }
  expect(data[0]?.embedding).toEqual(Array.from(Float32Array.from(embeddings[0]?.values ?? [])))
  expect(usage.prompt_tokens).toBe(4)
  expect(at.sent(0)).toMatchObject({ requests: [{ outputDimensionality: 768 }] })
})

test.skipIf(sharedDir() === null)(
  'a spent quota of the minute is told with the wait that Google asks for',
  async () => {
    await using at = await start(playRecorded(recordedCase('gemini/error-429-quota')))

    const response = await at.ask()

    expect(response.status).toBe(429)
    expect(Number(response.headers.get('retry-after'))).toBeWithin(40, 49)
    expect(await response.json()).toMatchObject({ error: { code: 'provider_rate_limited' } })
  },
)

test.skipIf(sharedDir() === null)('a key that Google answers with 400 makes way for the next', async () => {
  const bad = recordedCase('gemini/error-400-api-key')
  const good = json(200, { candidates: [{ content: { parts: [{ text: 'a' }] }, finishReason: 'STOP' }], usageMetadata })
  await using at = await start(request => (request.headers['x-goog-api-key'] === 'key-1' ? playRecorded(bad) : good))

  const response = await at.ask()

  expect(response.status).toBe(200)
  expect(at.calls.map(each => each.headers['x-goog-api-key'])).toEqual(['key-1', 'key-2'])
})

for (const [stream, name] of [
  [false, 'generate-prompt-blocked-message'],
  [true, 'stream-prompt-blocked'],
] as const) {
  test.skipIf(sharedDir() === null)(`another model may answer a prompt that was blocked (${name})`, async () => {
    const blocked = recordedCase(`gemini/${name}`)
    const other = recordedCase(stream ? 'gemini/stream-text-usage-progress' : 'gemini/generate-text-exact-bytes')
    await using at = await start(request => playRecorded(request.path.includes('/other:') ? other : blocked), {
      more: { gateway: { fallback: { content_filter: true } } },
    })

    const response = await at.ask({ stream })

    expect(response.headers.get('x-citadel-model')).toBe('other')
    expect(await response.text()).toContain(stream ? '1\\n2' : '2 + 2')
  })
}

test('a parameter that cannot be expressed is the caller’s mistake, and is asked of nobody', async () => {
  await using at = await start(json(500, {}))

  const response = await at.ask({ logit_bias: { 5: 1 } })

  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ error: { code: 'unsupported_parameter', param: 'logit_bias' } })
  expect(at.calls).toEqual([])
})

test('the models of all pages are offered, by their short names', async () => {
  const pages: Readonly<Record<string, JsonObject>> = {
    '/v1beta/models?pageSize=1000': { models: [listed('gemini-a', 'generateContent')], nextPageToken: 'two' },
    '/v1beta/models?pageSize=1000&pageToken=two': {
      models: [listed('gemini-embed', 'embedContent'), listed('imagen', 'predict')],
    },
  }
  await using server = await startUpstream(request => json(200, pages[request.path] ?? {}))
  await using gateway = await startGateway({
    servers: [{ id: 'g', kind: 'gemini', base_url: server.url, api_key: 'k' }],
  })

  await gateway.gateway.found
  await gateway.gateway.later
  const { data } = await new OpenAI({ apiKey: 'x', baseURL: `${gateway.url}/v1` }).models.list()

  expect(data.map(({ id }) => id)).toEqual(['gemini-a', 'gemini-embed'])
  expect(data[0]).toMatchObject({ context_length: 1000, owned_by: 'google' })
})

function listed(name: string, method: string): JsonObject {
  return { name: `models/${name}`, inputTokenLimit: 1000, supportedGenerationMethods: [method] }
}

/** A gateway before one Gemini, with two keys. */
async function start(script: Script, { target = 'test-model', more = {} }: { target?: string; more?: Tree } = {}) {
  const server = await startModelServer(script)
  const config: Tree = {
    ...configOf([server]),
    servers: [{ id: 'a', kind: 'gemini', base_url: server.url, api_keys: ['key-1', 'key-2'] }],
    models: {
      chat: { targets: [{ server: 'a', model: target }], fallbacks: ['other'] },
      other: { targets: [{ server: 'a' }] },
    },
    ...more,
  }
  const gateway = await startGateway(config)
  const baseURL = `${gateway.url}/v1`
  const sdk = createOpenAICompatible({ name: 'gateway', baseURL, includeUsage: true })
  return {
    client: new OpenAI({ apiKey: 'test', baseURL, maxRetries: 0 }),
    model: sdk.chatModel('chat'),
    embedder: sdk.embeddingModel('chat'),
    ask: gateway.chat,
    get calls() {
      return server.calls
    },
    /** The body of the n-th call that the server got, from 0. */
    sent: (n: number): JsonObject => JSON.parse(server.calls[n]?.body ?? '{}'),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}
