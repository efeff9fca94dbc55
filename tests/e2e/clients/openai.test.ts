import { describe, expect, test } from 'bun:test'
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { configOf, type ModelServer, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { chatCompletion, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { gate, hang, json, pause, type Script, sse } from '#tests/support/upstream.ts'
import { all, delta, each, streamOf } from './streams.ts'

const messages = [{ role: 'user' as const, content: 'Hi' }]
const weather = {
  type: 'function' as const,
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}

test('a plain answer comes as the server gave it', async () => {
  await using at = await clientOf(openAiScript())

  const { data, response } = await at.client.chat.completions.create({ model: 'chat', messages }).withResponse()

  expect<unknown>(data).toEqual(chatCompletion('test-model'))
  expect(response.headers.get('x-citadel-model')).toBe('chat')
  expect(at.asked(0)).toEqual({ model: 'test-model', messages })
})

test('a stream gives its deltas in order and one finish', async () => {
  await using at = await clientOf(openAiScript())

  const chunks = await all(await at.client.chat.completions.create({ model: 'chat', messages, stream: true }))

  expect(chunks.map(chunk => chunk.choices[0]?.delta.content ?? '').join('')).toBe('Hello there!')
  expect(chunks.map(chunk => chunk.choices[0]?.finish_reason).filter(Boolean)).toEqual(['stop'])
  expect(chunks.every(chunk => !('usage' in chunk))).toBe(true)
  expect(at.asked(0)).toMatchObject({ stream: true, stream_options: { include_usage: true } })
})

test('usage comes once and last for whoever asks for it', async () => {
  await using at = await clientOf(openAiScript())

  const stream = await at.client.chat.completions.create({
    model: 'chat',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  })
  const counts = (await all(stream)).map(chunk => chunk.usage?.total_tokens ?? null)

  expect(counts).toEqual([null, null, null, null, null, 10])
})

test('the helper for streams puts the whole answer together', async () => {
  await using at = await clientOf(openAiScript())

  const runner = at.client.chat.completions.stream({ model: 'chat', messages })

  expect(await runner.finalContent()).toBe('Hello there!')
  expect((await runner.finalChatCompletion()).choices[0]?.finish_reason).toBe('stop')
})

for (const stream of [false, true]) {
  test(`parallel tool calls come whole (${stream ? 'stream' : 'plain'})`, async () => {
    const calls = ['Rome', 'Oslo'].map((city, index) => toolCall(index, city))
    const message = { role: 'assistant', content: null, tool_calls: calls.map(({ index: _, ...call }) => call) }
    const answer = { ...chatCompletion('m'), choices: [{ index: 0, message, finish_reason: 'tool_calls' }] }
    const pieces = calls.flatMap(({ function: { name, arguments: text }, ...head }) => [
      delta({ tool_calls: [{ ...head, function: { name, arguments: '' } }] }),
      delta({ tool_calls: [{ index: head.index, function: { arguments: text.slice(0, 5) } }] }),
      delta({ tool_calls: [{ index: head.index, function: { arguments: text.slice(5) } }] }),
    ])
    await using at = await clientOf(stream ? sse(streamOf(pieces, 'tool_calls')) : json(200, answer))

    const asked = { model: 'chat', messages, tools: [weather], parallel_tool_calls: true }
    const got = stream
      ? await at.client.chat.completions.stream(asked).finalChatCompletion()
      : await at.client.chat.completions.create(asked)

    const found = got.choices[0]?.message.tool_calls ?? []
    expect(found.map(call => (call.type === 'function' ? [call.id, call.function.arguments] : []))).toEqual([
      ['call_0', '{"city":"Rome"}'],
      ['call_1', '{"city":"Oslo"}'],
    ])
    expect(got.choices[0]?.finish_reason).toBe('tool_calls')
    expect(at.asked(0)).toMatchObject({ tools: [weather], parallel_tool_calls: true })
  })
}

test('the results of tools go to the server as they are', async () => {
  await using at = await clientOf(openAiScript())
  const { index: _, ...call } = toolCall(0, 'Rome')
  const turn = [
    ...messages,
    { role: 'assistant' as const, content: null, tool_calls: [call] },
    { role: 'tool' as const, tool_call_id: 'call_0', content: '{"degrees":21}' },
  ]

  await at.client.chat.completions.create({ model: 'chat', messages: turn, tools: [weather], tool_choice: 'auto' })

  expect(at.asked(0)).toMatchObject({ messages: turn, tool_choice: 'auto' })
})

test('structured output is asked for with its schema and parsed', async () => {
  const format = zodResponseFormat(z.object({ city: z.string(), degrees: z.number() }), 'report')
  await using at = await clientOf(openAiScript({ deltas: ['{"city":"Rome",', '"degrees":21}'] }))

  const plain = await at.client.chat.completions.parse({ model: 'chat', messages, response_format: format })
  const streamed = at.client.chat.completions.stream({ model: 'chat', messages, response_format: format })

  expect(plain.choices[0]?.message.parsed).toEqual({ city: 'Rome', degrees: 21 })
  expect((await streamed.finalChatCompletion()).choices[0]?.message.parsed).toEqual({ city: 'Rome', degrees: 21 })
  for (const n of [0, 1]) {
    expect(at.asked(n)).toMatchObject({ response_format: { type: 'json_schema', json_schema: { name: 'report' } } })
  }
})

test('images go to the server as they are', async () => {
  await using at = await clientOf(openAiScript())
  const url = `data:image/png;base64,${'iVBORw0KGgo='.repeat(50_000)}`
  const content = [
    { type: 'text' as const, text: 'What is this?' },
    { type: 'image_url' as const, image_url: { url, detail: 'low' as const } },
  ]

  await at.client.chat.completions.create({ model: 'chat', messages: [{ role: 'user', content }] })

  expect(at.asked(0)).toMatchObject({ messages: [{ role: 'user', content }] })
})

test('reasoning comes in its own field', async () => {
  await using at = await clientOf(sse(streamOf([delta({ reasoning_content: 'Hm.' }), delta({ content: 'Yes.' })])))

  const chunks = await all(await at.client.chat.completions.create({ model: 'chat', messages, stream: true }))
  const deltas = chunks.map(
    chunk => (chunk.choices[0]?.delta ?? {}) as { content?: string; reasoning_content?: string },
  )

  expect(deltas.map(each => each.reasoning_content ?? '').join('')).toBe('Hm.')
  expect(deltas.map(each => each.content ?? '').join('')).toBe('Yes.')
})

test('a picture that the model draws comes whole in a stream', async () => {
  const url = `data:image/png;base64,${'iVBORw0KGgo='.repeat(50_000)}`
  const images = [{ type: 'image_url', image_url: { url } }]
  const [role = '', drawn = '', ...end] = streamOf([delta({ content: '', images })])
  await using at = await clientOf(sse([role, drawn, pause(100), ...end]))

  const chunks = await all(await at.client.chat.completions.create({ model: 'chat', messages, stream: true }))

  expect<unknown>(chunks.flatMap(chunk => Object(chunk.choices[0]?.delta).images ?? [])).toEqual(images)
  expect(at.server.calls).toHaveLength(1)
})

test('fields that the gateway does not know reach the server', async () => {
  await using at = await clientOf(openAiScript())
  const own = { top_k: 5, chat_template_kwargs: { enable_thinking: false }, seed: 12345678901234567890n.toString() }

  await at.client.chat.completions.create({ model: 'chat', messages, ...own } as never)

  expect(at.asked(0)).toMatchObject(own)
})

for (const encoding_format of ['float', 'base64', undefined] as const) {
  test(`embeddings come as ${encoding_format ?? 'the client prefers'}`, async () => {
    await using at = await clientOf(openAiScript())

    const answer = await at.client.embeddings.create({ model: 'chat', input: ['a', 'b'], encoding_format })
    const vector: unknown = answer.data[1]?.embedding

    expect(vector).toEqual(encoding_format === 'base64' ? 'AAAAPwAAgL4AAIA/' : [0.5, -0.25, 1])
    expect(answer.data.map(item => item.index)).toEqual([0, 1])
  })
}

for (const [name, input, count] of [
  ['a text', 'Hi', 1],
  ['tokens', [1, 2, 3], 1],
  ['lists of tokens', [[1, 2], [3]], 2],
] as const) {
  test(`embeddings of ${name} are one for each input`, async () => {
    const vectors = Array.from({ length: count }, (_, index) => ({ object: 'embedding', index, embedding: [1] }))
    await using at = await clientOf(json(200, { object: 'list', data: vectors, model: 'm' }))

    const answer = await at.client.embeddings.create({ model: 'chat', input: input as never, encoding_format: 'float' })

    expect(answer.data).toHaveLength(count)
    expect(at.asked(0)).toMatchObject({ input })
  })
}

for (const stream of [false, true]) {
  test(`the old completions still answer (${stream ? 'stream' : 'plain'})`, async () => {
    const part = (text: string, finish_reason: string | null) => ({
      id: 'cmpl-1',
      object: 'text_completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, text, logprobs: null, finish_reason }],
    })
    await using at = await clientOf(
      stream ? sse([part('Hel', null), part('lo', 'stop'), '[DONE]']) : json(200, part('Hello', 'stop')),
    )

    const answer = stream
      ? await all(await at.client.completions.create({ model: 'chat', prompt: 'Hi', stream }))
      : [await at.client.completions.create({ model: 'chat', prompt: 'Hi' })]

    expect(answer.map(each => each.choices[0]?.text ?? '').join('')).toBe('Hello')
    expect(at.server.calls[0]?.path).toBe('/v1/completions')
  })
}

test('models are listed and found by ids with slashes and colons', async () => {
  const ids = ['org/model:7b-q4', 'plain', 'a/b/c']
  await using at = await clientOf(openAiScript(), {
    models: Object.fromEntries(ids.map(id => [id, { targets: [{ server: 'a', model: 'm' }] }])),
  })

  const listed = await all(at.client.models.list())
  const found = await Promise.all(ids.map(id => at.client.models.retrieve(id)))
  const missing = await at.client.models.retrieve('org/model').catch(error => error)

  expect(listed.map(model => model.id).sort()).toEqual([...ids].sort())
  expect(found.map(model => [model.id, model.object])).toEqual(ids.map(id => [id, 'model']))
  expect(missing).toBeInstanceOf(OpenAI.NotFoundError)
})

describe('each failure is thrown as the class of its status', () => {
  const failures = [
    {
      status: 400,
      upstream: openAiError(400, 'maximum context length is 10', null),
      thrown: OpenAI.BadRequestError,
      code: 'context_length_exceeded',
    },
    {
      status: 404,
      upstream: openAiError(404, 'The model does not exist', 'model_not_found'),
      thrown: OpenAI.NotFoundError,
      code: 'model_not_found',
    },
    { status: 413, upstream: openAiError(413, 'too large', null), thrown: OpenAI.APIError, code: 'request_too_large' },
    {
      status: 429,
      upstream: openAiError(429, 'slow down', null, { 'retry-after': '9' }),
      thrown: OpenAI.RateLimitError,
      code: 'provider_rate_limited',
    },
    {
      status: 502,
      upstream: openAiError(401, 'bad key', null),
      thrown: OpenAI.InternalServerError,
      code: 'upstream_auth_failed',
    },
    { status: 502, upstream: json(200, 'half'), thrown: OpenAI.InternalServerError, code: 'upstream_invalid_response' },
    {
      status: 503,
      upstream: openAiError(500, 'oh', null),
      thrown: OpenAI.InternalServerError,
      code: 'all_targets_failed',
    },
    { status: 504, upstream: hang(), thrown: OpenAI.InternalServerError, code: 'upstream_timeout' },
  ]
  for (const { status, upstream, thrown, code } of failures) {
    for (const stream of [false, true]) {
      test(`${status} ${code} (${stream ? 'stream' : 'plain'})`, async () => {
        await using at = await clientOf(upstream, { timeouts: { first_byte: '100ms' } })

        const failure = await at.client.chat.completions
          .create({ model: 'chat', messages, stream })
          .catch(error => error)

        expect(failure).toBeInstanceOf(thrown)
        expect(failure).toMatchObject({ status, code })
        expect(failure.requestID).toBe(failure.headers.get('x-request-id'))
      })
    }
  }

  test('401 and 403 for what the caller may not', async () => {
    const key = { name: 'web', key: 'sk-web-0123456789abcdef', models: ['other'] }
    const targets = [{ server: 'a', model: 'm' }]
    await using at = await clientOf(openAiScript(), {
      auth: { mode: 'required', keys: [key] },
      models: { chat: { targets }, other: { targets } },
    })
    const other = new OpenAI({ baseURL: at.client.baseURL, apiKey: key.key, maxRetries: 0 })

    const unknown = await at.client.models.list().catch(error => error)
    const refused = await other.chat.completions.create({ model: 'chat', messages }).catch(error => error)

    expect(unknown).toBeInstanceOf(OpenAI.AuthenticationError)
    expect(refused).toBeInstanceOf(OpenAI.PermissionDeniedError)
    expect([unknown.code, refused.code]).toEqual(['invalid_api_key', 'model_not_allowed'])
  })

  test('an error in the middle of a stream, after what came before it', async () => {
    await using at = await clientOf(
      sse([...streamOf([delta({ content: 'One' })]).slice(0, 2), { error: { message: 'oh' } }]),
    )
    const stream = await at.client.chat.completions.create({ model: 'chat', messages, stream: true })
    const seen: string[] = []

    const failure = await each(stream, chunk => seen.push(chunk.choices[0]?.delta.content ?? '')).catch(error => error)

    expect(seen.join('')).toBe('One')
    expect(failure).toBeInstanceOf(OpenAI.APIError)
    expect(failure).toMatchObject({ code: 'stream_interrupted', type: 'server_error' })
  })
})

test('a stream that begins before its answer gives that when it comes', async () => {
  const first = gate()
  await using at = await clientOf(sse([first, ...streamOf([delta({ content: 'One' })])]), EARLY)

  const stream = await at.client.chat.completions.create({ model: 'chat', messages, stream: true })
  first.open()
  const chunks = await all(stream)

  expect(chunks.map(chunk => chunk.choices[0]?.delta.content ?? '').join('')).toBe('One')
})

for (const [name, steps, code] of [
  ['nothing', openAiError(500, 'oh', null), 'all_targets_failed'],
  ['a refusal', openAiError(400, 'no', 'invalid_value'), 'invalid_request'],
] as const) {
  test(`a stream that begins before its answer and gets ${name} raises an error, with retries left too`, async () => {
    const first = gate()
    await using at = await clientOf([first, steps], { ...EARLY, retry: { max_attempts: 1 } })
    const client = new OpenAI({ baseURL: at.client.baseURL, apiKey: 'x', maxRetries: 2 })

    const stream = await client.chat.completions.create({ model: 'chat', messages, stream: true })
    first.open()
    const failure = await all(stream).catch(error => error)

    expect(failure).toBeInstanceOf(OpenAI.APIError)
    expect(failure).toMatchObject({ code })
    expect(at.server.calls).toHaveLength(1)
  })
}

test('what the gateway has tried in vain the client does not try again', async () => {
  await using at = await clientOf(openAiError(500, 'oh', null))
  const client = new OpenAI({ baseURL: at.client.baseURL, apiKey: 'x' })

  const failure = await client.chat.completions.create({ model: 'chat', messages }).catch(error => error)

  expect(failure).toBeInstanceOf(OpenAI.InternalServerError)
  expect(at.server.calls).toHaveLength(failure.error.attempts.length)
})

for (const stream of [false, true]) {
  test(`an abort ends the ${stream ? 'stream' : 'call'} here and at the server`, async () => {
    const end = gate()
    await using at = await clientOf(stream ? sse([...streamOf([delta({ content: 'One' })]).slice(0, 2), end]) : end)
    const leaving = new AbortController()
    const options = { signal: leaving.signal }

    const asked = at.client.chat.completions.create({ model: 'chat', messages, stream }, options)
    const failure = asked.then(answer => ('controller' in answer ? all(answer) : null)).catch(error => error)
    await end.reached
    leaving.abort()

    await failure
    expect((await at.server.called(1)).closedBy ?? 'client').toBe('client')
    await (await at.server.called(1)).closed
    expect(await at.logged({ outcome: 'cancelled' })).toMatchObject({ stream })
  })
}

const EARLY = { streams: { early_headers: '20ms' } }

async function clientOf(script: Script, more: Tree = {}) {
  const server = await startModelServer(script)
  const gateway = await startGateway(configOf([server], more))
  return {
    server: server as ModelServer,
    client: new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'sk-anything', maxRetries: 0 }),
    asked: (index: number) => server.calls[index]?.json(),
    logged: gateway.logged,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}

function toolCall(index: number, city: string) {
  const text = JSON.stringify({ city })
  return { index, id: `call_${index}`, type: 'function' as const, function: { name: 'weather', arguments: text } }
}
