import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { gemini, normalizeBaseUrl } from '#providers/gemini/index.ts'
import { parameters } from '#providers/gemini/parameters.ts'
import type { Parameter } from '#providers/parameters.ts'
import { call, server, target } from '#tests/support/calls.ts'
import { toolOf } from './asked.ts'

const messages = [{ role: 'user', content: 'Hi' }]

function encode(more: JsonObject, model = 'gemini-2.5-flash', stream = false) {
  const at = target('g', { server: server('g', { baseUrl: 'https://g.test/v1beta' }), upstreamModel: model })
  return gemini.encode(call({ stream, body: { model: 'chat', messages, ...more } }), at, 'key')
}

function sent(more: JsonObject, model?: string): JsonObject {
  return JSON.parse(encode(more, model).body?.join('') ?? '')
}

function config(more: JsonObject, model?: string): JsonValue {
  return sent(more, model).generationConfig
}

function refusal(more: JsonObject, model?: string) {
  try {
    encode(more, model)
  } catch (thrown) {
    if (thrown instanceof GatewayError) return [thrown.code, thrown.param]
  }
  return null
}

test.each([
  ['https://g.test', 'https://g.test/v1beta'],
  ['https://g.test/', 'https://g.test/v1beta'],
  ['https://g.test/v1beta/', 'https://g.test/v1beta'],
  ['https://g.test/v1beta/openai', 'https://g.test/v1beta'],
  ['https://g.test/v1beta/openai/chat/completions', 'https://g.test/v1beta'],
  ['https://g.test/v1beta/models/x:generateContent', 'https://g.test/v1beta'],
  [
    'https://g.test/v1/projects/p/locations/l/publishers/google',
    'https://g.test/v1/projects/p/locations/l/publishers/google',
  ],
])('the address %s means %s', (url, base) => {
  expect(normalizeBaseUrl(url)).toBe(base)
})

test.each([
  ['gemini-2.5-flash', false, 'models/gemini-2.5-flash:generateContent'],
  ['gemini-2.5-flash', true, 'models/gemini-2.5-flash:streamGenerateContent?alt=sse'],
  ['tunedModels/mine', false, 'tunedModels/mine:generateContent'],
  ['odd?name#', false, 'models/odd%3Fname%23:generateContent'],
])('the model %s is asked at its own address', (model, stream, path) => {
  const { url, headers } = encode({}, model, stream)

  expect(url).toBe(`https://g.test/v1beta/${path}`)
  expect(headers.authorization).toBeUndefined()
  expect(headers['x-goog-api-key']).toBe('key')
})

test('a configured header wins over the key', () => {
  const at = target('g', { server: server('g', { headers: { 'X-Goog-Api-Key': 'other' } }) })

  expect(gemini.encode(call(), at, 'key').headers['x-goog-api-key']).toBe('other')
})

test('sampling goes under its names there', () => {
  const body = {
    temperature: 0,
    top_p: 0.5,
    top_k: 3,
    max_tokens: 7,
    n: 2,
    seed: 0,
    presence_penalty: 0.1,
    frequency_penalty: -0.1,
    logprobs: true,
    top_logprobs: 2,
    stop: ['a', 'b'],
  }

  expect(config(body)).toEqual({
    temperature: 0,
    topP: 0.5,
    topK: 3,
    maxOutputTokens: 7,
    candidateCount: 2,
    seed: 0,
    presencePenalty: 0.1,
    frequencyPenalty: -0.1,
    responseLogprobs: true,
    logprobs: 2,
    stopSequences: ['a', 'b'],
  })
})

test('what is the same without being said is not said', () => {
  const body = { n: 1, presence_penalty: 0, frequency_penalty: 0, logprobs: false, top_logprobs: 5, temperature: null }

  for (const stop of [[], '', ['']])
    expect(config({ ...body, stop, response_format: { type: 'text' } }), JSON.stringify(stop)).toBeUndefined()
})

test('the newer limit of tokens wins', () => {
  expect(config({ max_completion_tokens: 5, max_tokens: 9 })).toEqual({ maxOutputTokens: 5 })
})

describe('the effort of thinking', () => {
  test.each<[string, string, JsonObject | undefined]>([
    ['gemini-2.5-flash', 'none', { includeThoughts: false, thinkingBudget: 0 }],
    ['gemini-2.5-flash', 'low', { includeThoughts: true, thinkingBudget: 1024 }],
    ['gemini-2.5-flash', 'medium', { includeThoughts: true, thinkingBudget: 8192 }],
    ['gemini-2.5-pro', 'none', { includeThoughts: false, thinkingBudget: 128 }],
    ['gemini-2.5-pro', 'max', { includeThoughts: true, thinkingBudget: 24_576 }],
    ['gemini-3-flash-preview', 'none', { includeThoughts: false, thinkingLevel: 'minimal' }],
    ['gemini-3-flash-preview', 'medium', { includeThoughts: true, thinkingLevel: 'medium' }],
    ['gemini-3.1-pro-preview', 'minimal', { includeThoughts: true, thinkingLevel: 'low' }],
    ['gemini-3.1-pro-preview', 'xhigh', { includeThoughts: true, thinkingLevel: 'high' }],
    ['gemini-flash-latest', 'high', { includeThoughts: true, thinkingLevel: 'high' }],
    ['gemini-3.7-flash', 'none', { includeThoughts: false, thinkingLevel: 'low' }],
    ['gemini-4-flash-preview', 'minimal', { includeThoughts: true, thinkingLevel: 'low' }],
    ['gemini-flash-latest', 'minimal', { includeThoughts: true, thinkingLevel: 'low' }],
    ['gemini-3.8-flash-lite', 'minimal', { includeThoughts: true, thinkingLevel: 'minimal' }],
    ['gemini-flash-lite-latest', 'none', { includeThoughts: false, thinkingLevel: 'minimal' }],
    ['gemini-3-pro-preview', 'medium', { includeThoughts: true, thinkingLevel: 'low' }],
    ['gemini-3.1-flash-image', 'medium', { includeThoughts: true, thinkingLevel: 'minimal' }],
    ['gemini-3-pro-image-preview', 'medium', { includeThoughts: true, thinkingLevel: 'low' }],
    ['gemini-2.0-flash', 'high', undefined],
  ])('is translated for %s at the effort %s', (model, reasoning_effort, thinkingConfig) => {
    expect(config({ reasoning_effort }, model)).toEqual(thinkingConfig && { thinkingConfig })
  })

  test('is told to be left out where a model does not think', () => {
    expect(encode({ reasoning_effort: 'high' }, 'gemini-2.0-flash').dropped).toEqual(['reasoning_effort'])
    expect(encode({ reasoning_effort: 'high' }).dropped).toEqual([])
  })

  test('that nobody knows is refused', () => {
    expect(refusal({ reasoning_effort: 'ultra' })).toEqual(['unsupported_parameter', 'reasoning_effort'])
  })

  test("gives way to Google's own configuration", () => {
    const google = { thinking_config: { thinking_budget: 5 }, cached_content: 'cachedContents/x', safety_settings: [] }

    const body = sent({ reasoning_effort: 'high', extra_body: { google } })

    expect(body).toMatchObject({
      generationConfig: { thinkingConfig: { thinking_budget: 5 } },
      cachedContent: 'cachedContents/x',
      safetySettings: [],
    })
  })
})

describe('tools', () => {
  const tools = [
    toolOf('a', 'Does a.', { x: { type: 'string', minLength: 2 } }),
    { type: 'function', function: { name: 'b' } },
  ]
  const named = (name: string) => ({ type: 'function', function: { name } })
  const allowed = (mode: string, ...names: string[]) => ({
    type: 'allowed_tools',
    allowed_tools: { mode, tools: names.map(named) },
  })

  test('are functions with the part of their schema that Gemini knows', () => {
    expect(sent({ tools })).toMatchObject({
      tools: [
        {
          functionDeclarations: [
            {
              name: 'a',
              description: 'Does a.',
              parametersJsonSchema: { type: 'object', properties: { x: { type: 'string' } } },
            },
            { name: 'b' },
          ],
        },
      ],
    })
    expect(sent({ tools }).toolConfig).toBeUndefined()
  })

  test.each<[JsonValue, JsonObject]>([
    ['auto', { mode: 'AUTO' }],
    ['none', { mode: 'NONE' }],
    ['required', { mode: 'ANY' }],
    [named('b'), { mode: 'ANY', allowedFunctionNames: ['b'] }],
    [allowed('required', 'a', 'b'), { mode: 'ANY', allowedFunctionNames: ['a', 'b'] }],
    [allowed('auto', 'b'), { mode: 'AUTO' }],
  ])('are chosen by the translated tool_choice %j', (tool_choice, functionCallingConfig) => {
    expect(sent({ tools, tool_choice }).toolConfig).toEqual({ functionCallingConfig })
  })

  test('that are not allowed are not declared', () => {
    const [first] = sent({ tools, tool_choice: allowed('auto', 'b') }).tools as JsonObject[]

    expect(first?.functionDeclarations).toEqual([{ name: 'b' }])
  })

  test.each([
    ['21st_magic', '_21st_magic'],
    ['-x', '_-x'],
    ['_21st_magic', '__21st_magic'],
    ['_private', '_private'],
  ])('called %s, as Gemini may not call them, go and come as %s', (name, theirs) => {
    const tool_calls = [{ id: 'c', type: 'function', function: { name, arguments: '{}' } }]
    const turn = [
      { role: 'assistant', content: null, tool_calls },
      { role: 'tool', tool_call_id: 'c', content: 'x' },
    ]

    const { tools, toolConfig, contents } = sent({
      messages: [...messages, ...turn],
      tools: [{ type: 'function', function: { name } }],
      tool_choice: { type: 'function', function: { name } },
    })

    expect(tools).toEqual([{ functionDeclarations: [{ name: theirs }] }])
    expect(toolConfig).toMatchObject({ functionCallingConfig: { allowedFunctionNames: [theirs] } })
    expect(contents).toMatchObject([
      {},
      { parts: [{ functionCall: { name: theirs } }] },
      { parts: [{ functionResponse: { name: theirs } }] },
    ])
    const candidates = [{ content: { parts: [{ functionCall: { name: theirs } }] }, finishReason: 'STOP' }]
    expect(gemini.decode(call(), JSON.stringify({ candidates }))).toMatchObject({
      chunk: { choices: [{ message: { tool_calls: [{ function: { name } }] } }] },
    })
  })

  test('need no choice where there are none', () => {
    expect(sent({ tools: [], tool_choice: 'auto' })).toEqual({ contents: expect.anything() })
  })

  test.each<[string, JsonObject, string]>([
    ['custom tools', { tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'tools.0'],
    ['a custom choice', { tools, tool_choice: { type: 'custom', custom: { name: 'x' } } }, 'tool_choice'],
  ])('%s are refused', (_, body, param) => {
    expect(refusal(body)).toEqual(['unsupported_parameter', param])
  })
})

describe('the form of the answer', () => {
  const format = (schema: JsonValue) => ({
    response_format: { type: 'json_schema', json_schema: { name: 'n', schema } },
  })

  test('may be JSON of any shape', () => {
    expect(config({ response_format: { type: 'json_object' } })).toEqual({ responseMimeType: 'application/json' })
  })

  test('may be prescribed by a JSON Schema', () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'integer' } },
      required: ['a'],
      additionalProperties: false,
    }

    expect(config(format(schema))).toEqual({ responseMimeType: 'application/json', responseJsonSchema: schema })
  })

  test('that cannot be promised is refused with its place', () => {
    const schema = { type: 'object', properties: { a: { type: 'string', pattern: '^a' } } }

    expect(refusal(format(schema))).toEqual([
      'unsupported_parameter',
      'response_format.json_schema.schema.properties.a.pattern',
    ])
    expect(refusal({ response_format: { type: 'grammar' } })).toEqual(['unsupported_parameter', 'response_format'])
  })
})

describe('a parameter that Gemini does not have', () => {
  test.each<[string, JsonValue]>([
    ['logit_bias', { 5: 1 }],
    ['audio', { voice: 'alloy', format: 'wav' }],
    ['modalities', ['text', 'audio']],
    ['web_search_options', {}],
    ['functions', [{ name: 'f' }]],
    ['function_call', { name: 'f' }],
    ['web_search_options', { search_context_size: 'low' }],
    ['n', 9],
    ['stop', ['a', 'b', 'c', 'd', 'e', 'f']],
  ])('%s is refused where the answer would be another', (name, value) => {
    expect(refusal({ [name]: value })).toEqual(['unsupported_parameter', name])
  })

  test('is told to be left out where the answer is the same, unknown ones included', () => {
    const body = {
      user: 'u',
      store: true,
      parallel_tool_calls: false,
      service_tier: 'scale',
      madeUp: 1,
      metadata: { a: 'b' },
    }

    expect(encode(body).dropped?.toSorted()).toEqual(Object.keys(body).toSorted())
  })

  test('is not told of where it asks for nothing', () => {
    const body = {
      user: '',
      store: false,
      parallel_tool_calls: true,
      service_tier: 'auto',
      logit_bias: {},
      functions: [],
      modalities: ['text'],
      metadata: null,
      verbosity: 'medium',
      fallbacks: ['other'],
      cache: false,
      stream_options: { include_usage: true },
    }

    expect(encode(body).dropped).toEqual([])
  })
})

test.each(['flex', 'priority', 'standard'])('the tier of service %s is asked for', service_tier => {
  const { dropped } = encode({ service_tier })

  expect([sent({ service_tier }).service_tier, dropped]).toEqual([service_tier, []])
})

test("Google's cloud is asked for it in a header, unless the configuration does so", () => {
  const baseUrl = 'https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google'
  const header = 'x-vertex-ai-llm-shared-request-type'
  const asked = [{ service_tier: 'flex' }, { service_tier: 'standard' }, {}].map(more => {
    const at = target('g', { server: server('g', { baseUrl }) })
    const { headers, body } = gemini.encode(call({ body: { messages, ...more } }), at, 'key')
    return [headers[header], JSON.parse(body?.join('') ?? '').service_tier]
  })
  const own = target('g', { server: server('g', { baseUrl, headers: { [header]: 'priority' } }) })

  expect(asked).toEqual([
    ['flex', undefined],
    [undefined, undefined],
    [undefined, undefined],
  ])
  expect(gemini.encode(call({ body: { messages, service_tier: 'flex' } }), own, 'key').headers[header]).toBe('priority')
})

test.each([
  ['of several regions', 'https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/google', 'g'],
  ['behind a proxy', 'https://ai.example.test/v1/projects/p/locations/global/publishers/google', 'g'],
  ['with the whole name of a model', 'https://aiplatform.googleapis.com/v1', 'publishers/google/models/g'],
  ['with a tuned model', 'https://aiplatform.googleapis.com/v1beta1', 'projects/p/locations/l/endpoints/1'],
])('it is known as such %s', (_, baseUrl, model) => {
  const at = target('g', { server: server('g', { baseUrl }), upstreamModel: model })
  const { headers, body } = gemini.encode(call({ body: { messages, service_tier: 'flex' } }), at, 'key')

  expect(headers['x-vertex-ai-llm-shared-request-type']).toBe('flex')
  expect(JSON.parse(body?.join('') ?? '').service_tier).toBeUndefined()
})

test('the table says of each parameter what really happens to it', () => {
  const samples: Readonly<Record<string, JsonValue>> = {
    metadata: { a: 'b' },
    logit_bias: { 5: 1 },
    modalities: ['audio'],
    parallel_tool_calls: false,
  }
  const renamed: Readonly<Record<string, readonly [asked: JsonObject, value: JsonValue]>> = {
    stop: [{ stop: 'x' }, ['x']],
    logprobs: [{ logprobs: true }, true],
    top_logprobs: [{ logprobs: true, top_logprobs: 3 }, 3],
  }
  for (const [name, { treatment, to }] of Object.entries<Parameter>(parameters.chat)) {
    const given = { [name]: samples[name] ?? 'something' }
    if (treatment === 'refused') expect(refusal(given), name).toEqual(['unsupported_parameter', name])
    if (treatment === 'dropped') expect(encode(given).dropped, name).toEqual([name])
    if (treatment === 'renamed') {
      const [asked, value] = renamed[name] ?? [{ [name]: 2 }, 2]
      expect(sent(asked), name).toHaveProperty(to ?? '', value)
    }
  }
})

describe('embeddings', () => {
  const embed = (body: JsonObject) => {
    const at = target('g', {
      server: server('g', { baseUrl: 'https://g.test/v1beta' }),
      upstreamModel: 'gemini-embedding-001',
    })
    return gemini.encode(call({ endpoint: 'embeddings', stream: false, body: { model: 'v', ...body } }), at, 'key')
  }

  test('are asked for in one batch for all texts', () => {
    const { url, body } = embed({ input: ['a', 'b'], dimensions: 8 })

    expect(url).toBe('https://g.test/v1beta/models/gemini-embedding-001:batchEmbedContents')
    expect(JSON.parse(body?.join('') ?? '').requests).toEqual(
      ['a', 'b'].map(text => ({
        model: 'models/gemini-embedding-001',
        content: { parts: [{ text }] },
        outputDimensionality: 8,
      })),
    )
  })

  test.each<[string, JsonValue]>([
    ['tokens', [1, 2]],
    ['several lists of tokens', [[1], [2]]],
    ['too many texts', Array.from({ length: 101 }, () => 'a')],
  ])('of %s are refused', (_, input) => {
    expect(() => embed({ input })).toThrow(expect.objectContaining({ code: 'unsupported_parameter', param: 'input' }))
  })

  test('leave out the user, and name that as dropped', () => {
    expect(embed({ input: 'a', user: 'u', encoding_format: 'base64' }).dropped).toEqual(['user'])
  })
})
