import { expect, test } from 'bun:test'
import { providersFromEnv } from '#config/providers-from-env.ts'

test('finds nothing in an empty environment', () => {
  expect(providersFromEnv({ OPENAI_API_KEY: ' ' })).toEqual({ found: [], pending: [], ollama: null, warnings: [] })
})

test('finds OpenAI with its account', () => {
  const { found } = providersFromEnv({ OPENAI_API_KEY: 'sk', OPENAI_ORG_ID: 'org', OPENAI_PROJECT_ID: 'proj' })

  expect(found).toMatchObject([
    {
      id: 'openai',
      kind: 'openai',
      base_url: null,
      api_keys: ['sk'],
      headers: { 'openai-organization': 'org', 'openai-project': 'proj' },
    },
  ])
})

test('finds a server of another address, with and without a key', () => {
  const address = { OPENAI_BASE_URL: 'http://127.0.0.1:1234/v1' }

  expect(providersFromEnv({ ...address, OPENAI_API_KEY: 'sk' }).found[0]).toMatchObject({
    kind: 'openai',
    base_url: 'http://127.0.0.1:1234/v1',
  })
  expect(providersFromEnv(address).found[0]).toMatchObject({ kind: 'openai_compatible', api_keys: [] })
})

test('sends a key nowhere else when its address is wrong', () => {
  const { found, warnings } = providersFromEnv({ OPENAI_API_KEY: 'canary', OPENAI_BASE_URL: 'localhost:1234' })

  expect(found).toEqual([])
  expect(warnings).toHaveLength(1)
  expect(warnings.join()).not.toContain('canary')
})

test('finds Anthropic, also at another address', () => {
  const { found } = providersFromEnv({ ANTHROPIC_API_KEY: 'sk-ant' })
  const elsewhere = providersFromEnv({ ANTHROPIC_API_KEY: 'sk-ant', ANTHROPIC_BASE_URL: 'http://127.0.0.1:4000' })

  expect(found).toMatchObject([{ id: 'anthropic', kind: 'anthropic', base_url: null, api_keys: ['sk-ant'] }])
  expect(elsewhere.found).toMatchObject([{ kind: 'anthropic', base_url: 'http://127.0.0.1:4000' }])
})

test('sends the key of Anthropic nowhere else when its address is wrong', () => {
  const { found, warnings } = providersFromEnv({ ANTHROPIC_API_KEY: 'canary', ANTHROPIC_BASE_URL: 'localhost' })

  expect(found).toEqual([])
  expect(warnings).toHaveLength(1)
  expect(warnings.join()).not.toContain('canary')
})

test('finds the providers that speak like OpenAI', () => {
  const { found } = providersFromEnv({ GROQ_API_KEY: 'g', MISTRAL_API_KEY: 'm', OPENROUTER_API_KEY: 'o' })

  expect(found.map(server => `${server.id} ${server.kind} ${server.base_url} ${server.api_keys}`)).toEqual([
    'groq openai_compatible https://api.groq.com/openai/v1 g',
    'mistral openai_compatible https://api.mistral.ai/v1 m',
    'openrouter openai_compatible https://openrouter.ai/api/v1 o',
  ])
})

test.each([
  [{ GEMINI_API_KEY: 'a', GOOGLE_API_KEY: 'b' }, ['a']],
  [{ GOOGLE_API_KEY: 'b' }, ['b']],
])('finds Gemini by %j', (env, api_keys) => {
  expect(providersFromEnv(env).found).toMatchObject([{ id: 'gemini', kind: 'gemini', base_url: null, api_keys }])
})

test('finds the providers that have a dialect of their own', () => {
  const { found } = providersFromEnv({ DEEPSEEK_API_KEY: 'd' })

  expect(found).toMatchObject([{ id: 'deepseek', kind: 'deepseek', base_url: null, api_keys: ['d'] }])
})

test('tells of keys that are not enough', () => {
  const { found, pending } = providersFromEnv({
    AZURE_OPENAI_API_KEY: 'd',
  })

  expect(found).toEqual([])
  expect(pending).toEqual([{ variable: 'AZURE_OPENAI_API_KEY', provider: 'Azure OpenAI' }])
})

test.each([
  ['127.0.0.1:11435', 'http://127.0.0.1:11435'],
  ['0.0.0.0', 'http://127.0.0.1:11434'],
  [':8080', 'http://127.0.0.1:8080'],
  ['gpu-box', 'http://gpu-box:11434'],
  ['http://gpu-box:80', 'http://gpu-box'],
  ['https://ollama.example.com/', 'https://ollama.example.com'],
  ['[::]:11434', 'http://[::1]:11434'],
  ['http://me:pw@host', null],
  ['::::', null],
])('finds a local Ollama by %j', (host, address) => {
  expect(providersFromEnv({ OLLAMA_HOST: host }).ollama).toBe(address)
})
