import { describe, expect, test } from 'bun:test'
import type { Call, Endpoint } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { normalizeBaseUrl, ollama } from '#providers/ollama/index.ts'
import { call, server, target } from '#tests/support/calls.ts'

type Body = Call['body']

const at = target('o', {
  server: server('o', { kind: 'ollama', baseUrl: 'http://o.test:11434' }),
  upstreamModel: 'llama3.1:8b',
})
const hi = [{ role: 'user', content: 'Hi' }]

/** What Ollama receives for a body. */
function bodyOf(body: Body, endpoint: Endpoint = 'chat', model = 'llama3.1:8b', stream = false) {
  const { body: sent } = ollama.encode(call({ endpoint, body, stream }), { ...at, upstreamModel: model }, null)
  return JSON.parse(sent?.join('') ?? '')
}

function refusalOf(body: Body, endpoint: Endpoint = 'chat'): GatewayError | null {
  try {
    ollama.encode(call({ endpoint, body }), at, null)
    return null
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown
    throw thrown
  }
}

describe('the request', () => {
  test.each([
    ['chat', '/api/chat'],
    ['completions', '/api/generate'],
    ['embeddings', '/api/embed'],
  ] as const)('for %s goes to %s', (endpoint, path) => {
    const { method, url } = ollama.encode(call({ endpoint, body: { messages: hi, input: 'a', prompt: 'a' } }), at, null)

    expect([method, url]).toEqual(['POST', `http://o.test:11434${path}`])
  })

  test('asks for lines, carries the secret and the trace', () => {
    const { headers } = ollama.encode(call({ traceparent: '00-a-b-01' }), at, 'key')

    expect(headers).toEqual({
      accept: 'application/x-ndjson, application/json',
      'accept-encoding': 'identity',
      authorization: 'Bearer key',
      'content-type': 'application/json',
      traceparent: '00-a-b-01',
    })
  })

  test('always says whether it streams, since Ollama does unless told', () => {
    expect(bodyOf({ messages: hi })).toEqual({ model: 'llama3.1:8b', stream: false, options: {}, messages: hi })
    expect(bodyOf({ messages: hi }, 'chat', 'm', true)).toMatchObject({ model: 'm', stream: true })
  })

  test('does not carry what only the gateway or OpenAI understands', () => {
    const body = bodyOf({
      messages: hi,
      user: 'u',
      store: true,
      fallbacks: ['x'],
      cache: false,
      stream_options: {},
      service_tier: 'auto',
    })

    expect(Object.keys(body).sort()).toEqual(['messages', 'model', 'options', 'stream'])
  })
})

describe('options', () => {
  test('are the sampling parameters by their names', () => {
    const body = {
      temperature: 0.5,
      top_p: 0.9,
      seed: 1,
      presence_penalty: 0.1,
      frequency_penalty: 0.2,
      max_tokens: 5,
      top_k: 40,
      min_p: 0.1,
      num_ctx: 8192,
    }

    expect(bodyOf({ messages: hi, ...body }).options).toEqual({
      temperature: 0.5,
      top_p: 0.9,
      seed: 1,
      presence_penalty: 0.1,
      frequency_penalty: 0.2,
      num_predict: 5,
      top_k: 40,
      min_p: 0.1,
      num_ctx: 8192,
    })
  })

  test.each<[Body, object]>([
    [{ max_tokens: 5, max_completion_tokens: 7 }, { num_predict: 7 }],
    [{ max_tokens: 5, max_completion_tokens: null }, { num_predict: 5 }],
    [{ temperature: null, top_p: null }, {}],
    [{ temperature: 0 }, { temperature: 0 }],
    [{ stop: 'a' }, { stop: ['a'] }],
    [{ stop: ['a', 'b'] }, { stop: ['a', 'b'] }],
    [{ stop: ['', 'a'] }, { stop: ['a'] }],
    [{ stop: '' }, {}],
    [{ stop: [] }, {}],
    [
      { temperature: 1, options: { temperature: 0.1, mirostat: 2 } },
      { temperature: 0.1, mirostat: 2 },
    ],
  ])('in %j become the options %j', (body, options) => {
    expect(bodyOf({ messages: hi, ...body }).options).toEqual(options)
  })

  test('that only Ollama knows are passed on', () => {
    expect(bodyOf({ messages: hi, keep_alive: '5m', truncate: false })).toMatchObject({
      keep_alive: '5m',
      truncate: false,
    })
  })
})

test.each<[Body, unknown]>([
  [{ response_format: { type: 'json_object' } }, 'json'],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'a', schema: { type: 'object' } } } },
    { type: 'object' },
  ],
  [{ response_format: { type: 'json_schema', json_schema: { name: 'a' } } }, 'json'],
  [{ response_format: { type: 'text' } }, undefined],
  [{}, undefined],
])('a request with %j asks Ollama for the format %j', (body, format) => {
  expect(bodyOf({ messages: hi, ...body }).format).toEqual(format as never)
})

test.each<[Body, string, unknown]>([
  [{}, 'qwen3', undefined],
  [{ think: false, reasoning_effort: 'high' }, 'qwen3', false],
  [{ think: 'high' }, 'gpt-oss:20b', 'high'],
  [{ reasoning_effort: 'none' }, 'qwen3', false],
  [{ reasoning_effort: 'low' }, 'qwen3', true],
  [{ reasoning_effort: 'minimal' }, 'gpt-oss:20b', 'low'],
  [{ reasoning_effort: 'low' }, 'gpt-oss:20b', 'low'],
  [{ reasoning_effort: 'medium' }, 'someone/gptoss', 'medium'],
  [{ reasoning_effort: 'high' }, 'gpt-oss:20b', 'high'],
  [{ reasoning_effort: 'xhigh' }, 'gpt-oss:120b-cloud', 'high'],
  [{ reasoning_effort: null }, 'gpt-oss:20b', undefined],
])('a request with %j to %s is sent with think: %j', (body, model, think) => {
  expect(bodyOf({ messages: hi, ...body }, 'chat', model).think).toEqual(think as never)
})

describe('tools', () => {
  const tool = (name: string) => ({ type: 'function', function: { name, parameters: {} } })
  const named = { type: 'function', function: { name: 'b' } }
  const tools = [tool('a'), tool('b')]

  test.each<[unknown, readonly string[] | undefined]>([
    [undefined, ['a', 'b']],
    ['auto', ['a', 'b']],
    ['required', ['a', 'b']],
    ['none', undefined],
    [named, ['b']],
    [{ type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [named] } }, ['b']],
  ])('are sent as far as they are allowed by the choice %j', (choice, names) => {
    const sent = bodyOf({ messages: hi, tools, ...(choice !== undefined && { tool_choice: choice as string }) }).tools

    expect(sent?.map((each: ReturnType<typeof tool>) => each.function.name)).toEqual(names)
  })

  test.each<[unknown, readonly string[]]>([
    ['auto', []],
    ['none', []],
    [{ type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [named] } }, []],
    ['required', ['tool_choice']],
    [named, ['tool_choice']],
    [{ type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named] } }, ['tool_choice']],
  ])('that must be called are told not to be, which Ollama cannot promise: %j', (choice, dropped) => {
    const body = { messages: hi, tools, tool_choice: choice as string }

    expect(ollama.encode(call({ body }), at, null).dropped).toEqual(dropped)
  })

  test('are left out when the list is empty', () => {
    expect(bodyOf({ messages: hi, tools: [] })).not.toHaveProperty('tools')
  })
})

describe('completions', () => {
  test('carry one prompt and what comes behind it', () => {
    expect(bodyOf({ prompt: 'a', suffix: 'b', max_tokens: 3 }, 'completions')).toEqual({
      model: 'llama3.1:8b',
      stream: false,
      prompt: 'a',
      suffix: 'b',
      options: { num_predict: 3 },
    })
    expect(bodyOf({ prompt: ['a'] }, 'completions').prompt).toBe('a')
  })

  test.each<[readonly unknown[], string]>([
    [['a', 'b'], 'several prompts'],
    [[1, 2], 'tokens'],
    [[[1, 2]], 'tokens'],
  ])('refuse the prompt %j', (prompt, words) => {
    const refusal = refusalOf({ prompt: prompt as string[] }, 'completions')

    expect(refusal).toMatchObject({ code: 'unsupported_parameter', param: 'prompt' })
    expect(refusal?.message).toContain(words)
  })
})

describe('embeddings', () => {
  test.each<[Body, object]>([
    [{ input: 'a' }, { input: 'a' }],
    [
      { input: ['a', 'b'], dimensions: 64, encoding_format: 'base64' },
      { input: ['a', 'b'], dimensions: 64 },
    ],
    [
      { input: 'a', keep_alive: 0, options: { num_ctx: 1 } },
      { input: 'a', keep_alive: 0, options: { num_ctx: 1 } },
    ],
  ])('are asked for with %j', (body, sent) => {
    expect(bodyOf(body, 'embeddings')).toEqual({ model: 'llama3.1:8b', ...sent })
  })

  test.each([[[1, 2]], [[[1, 2], [3]]], [['a', [1]]]])('refuse the tokens %j, and say what to do', input => {
    const refusal = refusalOf({ input }, 'embeddings')

    expect(refusal).toMatchObject({ code: 'unsupported_parameter', status: 400, param: 'input' })
    expect(refusal?.message).toContain('check_embedding_ctx_length=False')
  })
})

describe('what Ollama cannot do is refused:', () => {
  test.each<[string, Body, Endpoint]>([
    ['n', { n: 2 }, 'chat'],
    ['logit_bias', { logit_bias: { 5: 1 } }, 'chat'],
    ['modalities', { modalities: ['text', 'audio'] }, 'chat'],
    ['audio', { audio: { voice: 'a', format: 'wav' } }, 'chat'],
    ['functions', { functions: [{ name: 'f' }] }, 'chat'],
    ['response_format', { response_format: { type: 'grammar' } }, 'chat'],
    ['tools', { tools: [{ type: 'custom', custom: { name: 'f' } }] }, 'chat'],
    ['n', { n: 2, prompt: 'a' }, 'completions'],
    ['best_of', { best_of: 2, prompt: 'a' }, 'completions'],
    ['echo', { echo: true, prompt: 'a' }, 'completions'],
    ['logprobs', { logprobs: 1, prompt: 'a' }, 'completions'],
  ])('%s in %j', (param, body, endpoint) => {
    expect(refusalOf({ messages: hi, ...body }, endpoint)).toMatchObject({
      code: 'unsupported_parameter',
      status: 400,
      param,
    })
  })

  test.each<[Body]>([
    [{ n: 1, logit_bias: {}, modalities: ['text'], audio: null, functions: [], response_format: null, tools: null }],
    [{ n: null, logit_bias: null, logprobs: false }],
  ])('while the harmless %j is accepted', body => {
    expect(refusalOf({ messages: hi, ...body })).toBeNull()
  })

  test('while log probabilities, which it can give, are accepted', () => {
    expect(bodyOf({ messages: hi, logprobs: true, top_logprobs: 2 })).toMatchObject({ logprobs: true, top_logprobs: 2 })
    expect(bodyOf({ messages: hi, logprobs: false, top_logprobs: 2 })).not.toHaveProperty('top_logprobs')
  })
})

test.each([
  ['http://h:11434', 'http://h:11434'],
  ['http://h:11434/', 'http://h:11434'],
  ['http://h:11434/v1/', 'http://h:11434'],
  ['http://h:11434/api', 'http://h:11434'],
  ['http://h:11434/api/chat', 'http://h:11434'],
  ['http://h:11434/v1/chat/completions', 'http://h:11434'],
  ['https://h/ollama/', 'https://h/ollama'],
  ['https://h/ollama/v1', 'https://h/ollama'],
  ['https://api.h', 'https://api.h'],
  ['https://h/apis', 'https://h/apis'],
])('the address %j becomes %j', (url, expected) => {
  expect(normalizeBaseUrl(url)).toBe(expected)
})
