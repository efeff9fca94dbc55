import { expect, test } from 'bun:test'
import { configOf, type ModelServer, SERVER_KEY, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatCompletion, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { gate, json } from '#tests/support/upstream.ts'

/** What a server says that should never be heard outside: an address and a key of the inside. */
const STORY = `backend http://10.1.2.3:8000 refused ${SERVER_KEY}`
const WHOLE = JSON.stringify(chatCompletion('test-model'))
/** What is the caller's own to mend: nobody else is asked, and the caller reads the server's words. */
const rejections = [
  {
    name: 'a prompt that is too long',
    status: 400,
    error: { code: 'context_length_exceeded', message: "This model's maximum context length is 8192 tokens." },
    code: 'context_length_exceeded',
    answer: 400,
  },
  {
    name: 'what a filter refuses',
    status: 400,
    error: { code: 'content_filter', message: 'The response was filtered.' },
    code: 'content_policy_violation',
    answer: 400,
  },
  {
    name: 'a parameter that the model does not know',
    status: 400,
    error: { code: 'unsupported_parameter', message: 'Unsupported parameter.', param: 'top_k' },
    code: 'unsupported_parameter',
    answer: 400,
  },
  {
    name: 'a model that is gone',
    status: 404,
    error: { code: 'model_not_found', message: 'The model does not exist.' },
    code: 'model_not_found',
    answer: 404,
  },
  {
    name: 'a body that is too large',
    status: 413,
    error: { message: 'Too large.' },
    code: 'request_too_large',
    answer: 413,
  },
  {
    name: 'what cannot be processed',
    status: 422,
    error: { message: 'temperature is wrong.' },
    code: 'invalid_request',
    answer: 400,
  },
] as const

for (const { name, status, error, code, answer } of rejections) {
  for (const stream of [false, true]) {
    test(`${name} is told to the caller in the server's words (${stream ? 'stream' : 'plain'})`, async () => {
      await using server = await startModelServer(json(status, { error }))
      await using other = await startModelServer(openAiScript())
      await using gateway = await startGateway(configOf([server, other]))

      const { response, text } = await ask(gateway.chat({ stream }), [server, other])

      expect(response.status).toBe(answer)
      expect(JSON.parse(text).error).toMatchObject({ code, message: error.message, type: 'invalid_request_error' })
      expect(other.calls).toHaveLength(0)
    })
  }
}

test.each(['application/json', 'Application/JSON; charset=utf-8', 'text/plain', 'Text/HTML'])(
  'a plain answer to a stream is no stream that says nothing (%s)',
  async type => {
    await using server = await startModelServer(json(200, WHOLE, { 'content-type': type }))
    await using other = await startModelServer(openAiScript())
    await using gateway = await startGateway(configOf([server, other]))

    const { response, text } = await ask(gateway.chat({ stream: true }), [server, other])

    expect(answeredBy(response)).toEqual([200, 'chat', 'b', '2'])
    expect(text).toEndWith('data: [DONE]\n\n')
  },
)

test('a limited server says when it can be asked again, and is left alone until then', async () => {
  await using server = await startModelServer(openAiError(429, STORY, null, { 'retry-after': '7' }))
  await using gateway = await startGateway(configOf([server]))

  const first = await ask(gateway.chat(), [server])
  const second = await ask(gateway.chat(), [server])

  for (const { response } of [first, second]) {
    expect(response.status).toBe(429)
    expect(Number(response.headers.get('retry-after'))).toBeWithin(6, 8)
  }
  expect(server.calls).toHaveLength(1)
})

test('a call may name its own fallbacks, which no server hears of', async () => {
  await using broken = await startModelServer(openAiError(500, STORY, null))
  await using sound = await startModelServer(openAiScript())
  const models = Object.fromEntries(
    ['chat', 'spare'].map((name, at) => [name, { targets: [{ server: 'ab'[at], model: name }] }]),
  )
  await using gateway = await startGateway(configOf([broken, sound], { models }))

  const { response } = await ask(gateway.chat({ fallbacks: ['spare'] }), [broken, sound])

  expect(answeredBy(response)).toEqual([200, 'spare', 'b', '3'])
  for (const server of [broken, sound]) expect(server.calls[0]?.json()).not.toHaveProperty('fallbacks')
})

test('a server that is full is passed over, and when all are, the caller is told to wait', async () => {
  const busy = gate()
  await using full = await startModelServer([busy, json(200, WHOLE)])
  await using sound = await startModelServer(openAiScript())
  const limited = (servers: readonly ModelServer[]) => {
    const config = configOf(servers)
    const [first, ...rest] = config.servers as readonly object[]
    return { ...config, timeouts: { queue: 0 }, servers: [{ ...first, max_concurrent: 1 }, ...rest] }
  }
  await using alone = await startGateway(limited([full]))
  await using gateway = await startGateway(limited([full, sound]))

  const running = [alone.chat(), gateway.chat()]
  await full.called(2)
  const refused = await ask(alone.chat(), [full])
  const others = await Promise.all([gateway.chat(), gateway.chat()])
  busy.open()
  const answers = await Promise.all(running)

  expect([refused.response.status, JSON.parse(refused.text).error.code]).toEqual([429, 'queue_full'])
  expect(Number(refused.response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(others.map(response => response.headers.get('x-citadel-server'))).toEqual(['b', 'b'])
  expect(answers.map(response => response.status)).toEqual([200, 200])
})

test('no more servers are asked than the configuration allows', async () => {
  await using server = await startModelServer(openAiError(500, STORY, null))
  await using gateway = await startGateway(configOf(Array.from({ length: 6 }, () => server)))

  const { text } = await ask(gateway.chat(), [server])

  expect(server.calls).toHaveLength(4)
  expect(JSON.parse(text).error.attempts).toHaveLength(4)
})

/** Reads an answer and holds against it whatever it tells of the inside. */
async function ask(asked: Promise<Response>, servers: readonly ModelServer[]) {
  const response = await asked
  const text = await response.text()
  const told = `${JSON.stringify([...response.headers])}${text}`
  for (const secret of [SERVER_KEY, '127.0.0.1', '10.1.2.3', ...servers.map(server => `:${server.port}`)]) {
    expect(told).not.toContain(secret)
  }
  return { response, text }
}

function answeredBy(response: Response) {
  const named = ['model', 'server', 'attempts'].map(name => response.headers.get(`x-citadel-${name}`))
  return [response.status, ...named]
}
