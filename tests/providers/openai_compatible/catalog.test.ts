import { describe, expect, test } from 'bun:test'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { server } from '#tests/support/calls.ts'
import { recordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'

const { catalog } = openaiCompatible
const plain = { contextLength: null, created: 0, ownedBy: null, embedding: false }

test.each([
  ['http://h:8000/v1', 'http://h:8000/health', 'http://h:8000/v1/models'],
  ['https://h/vllm/v1', 'https://h/vllm/health', 'https://h/vllm/v1/models'],
  ['https://h/api', 'https://h/api/health', 'https://h/api/models'],
  ['https://h/v1?key=1', 'https://h/health', 'https://h/v1/models?key=1'],
])('a server at %s is probed beside and below it', (baseUrl, health, models) => {
  const probes = catalog.probes(server('a', { baseUrl, secrets: ['sk-1', 'sk-2'] }))

  expect(probes.map(probe => probe.url)).toEqual([health, models])
  for (const probe of probes)
    expect(probe).toMatchObject({ method: 'GET', body: null, headers: { authorization: 'Bearer sk-1' } })
})

test('a list is asked for with the secret, or without one', () => {
  expect(catalog.list(server('a'), 'sk-1').headers.authorization).toBe('Bearer sk-1')
  expect(catalog.list(server('a'), null).headers).not.toHaveProperty('authorization')
})

describe('a list is read from', () => {
  test.each<[string, unknown]>([
    ["OpenAI's shape", { object: 'list', data: [{ id: 'a', object: 'model', created: 5, owned_by: 'me' }] }],
    ['a bare list', [{ id: 'a', created: 5.5, owned_by: 'me' }]],
    ["Ollama's shape", { models: [{ model: 'a', created: 5, owned_by: 'me' }] }],
  ])('%s', (_, body) => {
    expect(catalog.decodeList(JSON.stringify(body))).toEqual([{ ...plain, id: 'a', created: 5, ownedBy: 'me' }])
  })

  test('one with items that say nothing, which are left out', () => {
    const items = [{ id: 'a' }, {}, { id: '' }, { id: 5 }, null, 'b', { id: 'models/gemini' }]

    expect(catalog.decodeList(JSON.stringify({ data: items }))).toEqual([
      { ...plain, id: 'a' },
      { ...plain, id: 'models/gemini' },
    ])
  })

  test.each(['', '<html>', '{}', '{"data":{}}', 'null', '"a"'])('no body such as %j, which is no list', body => {
    expect(() => catalog.decodeList(body)).toThrow('no list of models')
  })
})

test.each<[string, object, number | null]>([
  ['vLLM', { max_model_len: 4096 }, 4096],
  ['llama.cpp', { meta: { n_ctx_train: 131072 } }, 131072],
  ['llama.cpp that says what it runs with', { meta: { n_ctx: 8192, n_ctx_train: 131072 } }, 8192],
  ['OpenRouter', { context_length: 200000 }, 200000],
  ['Groq', { context_window: 32768 }, 32768],
  ['LM Studio and Mistral', { max_context_length: 128000 }, 128000],
  ['a server that says nothing usable', { context_length: null, max_model_len: 0 }, null],
])('the context length is found as %s writes it', (_, fields, contextLength) => {
  expect(catalog.decodeList(JSON.stringify({ data: [{ id: 'a', ...fields }] }))).toEqual([
    { ...plain, id: 'a', contextLength },
  ])
})

test.each<[object, boolean]>([
  [{ id: 'text-embedding-3-small' }, true],
  [{ id: 'nomic-embed-text' }, true],
  [{ id: 'a', type: 'embeddings' }, true],
  [{ id: 'a', type: 'embedding' }, true],
  [{ id: 'embedded-chat', type: 'llm' }, false],
  [{ id: 'a', architecture: { output_modalities: ['embeddings'] } }, true],
  [{ id: 'llama-3' }, false],
])('a model listed as %j is known to make embeddings: %p', (item, embedding) => {
  expect(catalog.decodeList(JSON.stringify({ data: [item] }))).toMatchObject([{ embedding }])
})

describe.skipIf(sharedDir() === null)('recorded lists', () => {
  test("OpenAI's", () => {
    const models = catalog.decodeList(recordedCase('openai/models-list').text)

    expect(models.length).toBeGreaterThan(50)
    expect(models.find(({ id }) => id === 'text-embedding-ada-002')).toEqual({
      id: 'text-embedding-ada-002',
      contextLength: null,
      created: 1671217299,
      ownedBy: 'openai-internal',
      embedding: true,
    })
  })

  test("llama.cpp's", () => {
    expect(catalog.decodeList(recordedCase('openai-compatible/llama.cpp/models-list').text)).toEqual([
      {
        id: '../models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf',
        contextLength: 131072,
        created: 1735142223,
        ownedBy: 'llamacpp',
        embedding: false,
        abilities: { tools: null, vision: false },
      },
    ])
  })
})

test.each<[object, object | undefined]>([
  [
    { supported_parameters: ['tools', 'seed'], architecture: { input_modalities: ['text', 'image'] } },
    { tools: true, vision: true },
  ],
  [
    { supported_parameters: ['seed'], architecture: { input_modalities: ['text'] } },
    { tools: false, vision: false },
  ],
  [{ capabilities: { function_calling: true, vision: false } }, { tools: true, vision: false }],
  [{ capabilities: ['completion'] }, undefined],
  [{}, undefined],
])('what a model can do is read from %j', (item, abilities) => {
  expect(catalog.decodeList(JSON.stringify({ data: [{ id: 'm', ...item }] }))[0]?.abilities).toEqual(abilities)
})
