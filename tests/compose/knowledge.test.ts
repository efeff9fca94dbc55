import { expect, test } from 'bun:test'
import { composeKnowledge } from '#src/compose/knowledge.ts'
import { server } from '#tests/support/calls.ts'

const knowledge = composeKnowledge()
const openai = server('a', { kind: 'openai', baseUrl: 'https://api.openai.com/v1' })

test('a model at its own provider has abilities and a price', () => {
  expect(knowledge(openai, 'gpt-4o-2024-11-20')).toEqual({
    abilities: { context_length: 128_000, tools: true, vision: true, json_schema: true },
    price: { input: 2.5, cache_read: 1.25, output: 10, request: 0, factors: { serviceTier: { priority: 1.7 } } },
  })
})

test('at its own provider a long prompt has a price of its own, which keeps what does not change', () => {
  const anthropic = server('a', { kind: 'anthropic', baseUrl: 'https://api.anthropic.com/v1' })
  const { price } = knowledge(anthropic, 'claude-haiku-5-5')

  expect(price).toMatchObject({ input: 0.1, cache_write_1h: 0.2, search: 0.01, request: 0 })
  expect(price?.tiers).toEqual([
    { above: 100_000, input: 0.5, cache_read: 0.05, cache_write: 0.625, cache_write_1h: 1, output: 2.5 },
  ])
})

test.each([
  ['gpt-5-mini', { flex: 0.5, priority: 1.8 }],
  ['gpt-5.4-nano', { flex: 0.5 }],
  ['gpt-6-sol', { flex: 0.5, priority: 2 }],
  ['gpt-6-luna', { flex: 0.5, priority: 2 }],
  ['gpt-6-astra', { flex: 0.5, priority: 2, ultrafast: 6 }],
  ['gpt-6.1-sol', { flex: 0.5, priority: 2, ultrafast: 6 }],
])('what %s costs at other tiers of service is known', (model, serviceTier) => {
  expect(knowledge(openai, model).price?.factors).toEqual({ serviceTier })
})

test.each(['gpt-audio', 'gpt-audio-1.5', 'gpt-audio-mini'])('%s follows no JSON schema', model => {
  expect(knowledge(openai, model).abilities).toMatchObject({ tools: true, vision: false, json_schema: false })
})

test('the short name of a line costs what its model does', () => {
  const { price } = knowledge(openai, 'gpt-5.6')

  expect(price).not.toBeNull()
  expect(price).toEqual(knowledge(openai, 'gpt-5.6-sol').price)
})

test.each([
  ['text-embedding-3-small', { input: 0.02, output: null, request: 0 }],
  ['gpt-audio', { input: 2.5, audio_input: 32, output: 10, audio_output: 64, request: 0 }],
])('the price of %s is known', (model, price) => {
  expect(knowledge(openai, model).price).toEqual(price)
})

test('of a model of Google what is read from a cache, long prompts and recordings have their prices', () => {
  const google = server('a', { kind: 'gemini', baseUrl: 'https://generativelanguage.googleapis.com/v1beta' })

  expect(knowledge(google, 'gemini-2.5-pro').price).toMatchObject({
    input: 1.25,
    cache_read: 0.125,
    output: 10,
    tiers: [{ above: 200_000, input: 2.5, cache_read: 0.25, output: 15 }],
  })
  expect(knowledge(google, 'gemini-2.5-flash-lite').price).toMatchObject({ input: 0.1, audio_input: 0.3, output: 0.4 })
  expect(knowledge(google, 'gemini-3.8-flash').price).toMatchObject({ input: 0.75, cache_read: 0.075, output: 3.75 })
})

test.each([
  ['claude-fable-5-2', { input: 8, cache_read: 0.2, cache_write: 10, cache_write_1h: 16, output: 40 }, { fast: 2 }],
  ['claude-fable-5', { input: 10, cache_read: 1, cache_write: 12.5, cache_write_1h: 20, output: 50 }, undefined],
  ['claude-opus-5-5', { input: 4, cache_read: 0.2, cache_write: 5, cache_write_1h: 8, output: 20 }, { fast: 2 }],
  ['claude-opus-4-8', { input: 5, cache_read: 0.5, cache_write: 6.25, cache_write_1h: 10, output: 25 }, { fast: 2 }],
  ['claude-opus-4-7', { input: 5, cache_read: 0.5, cache_write: 6.25, cache_write_1h: 10, output: 25 }, undefined],
])('what %s costs is known, and its fast speed', (model, rates, serviceTier) => {
  const anthropic = server('a', { kind: 'anthropic', baseUrl: 'https://api.anthropic.com/v1' })
  const { price } = knowledge(anthropic, model)

  expect(price).toMatchObject({ ...rates, search: 0.01 })
  expect(price?.factors).toEqual({ ...(serviceTier && { serviceTier }), inferenceGeo: { us: 1.1 } })
})

test("a model of OpenAI's that searches the web for every call costs so much for each", () => {
  const { price } = knowledge(openai, 'gpt-5-search-api-2025-10-14')

  expect(price).toEqual({ input: 1.25, cache_read: 0.125, output: 10, request: 0.01 })
})

test('at another address it has no price', () => {
  const proxy = server('a', { kind: 'openai', baseUrl: 'https://proxy.example.com/v1' })
  const other = server('a', { kind: 'openai_compatible', baseUrl: 'https://api.openai.com/v1' })

  for (const at of [proxy, other])
    expect(knowledge(at, 'gpt-4o')).toMatchObject({ price: null, abilities: { vision: true } })
})

test('what the dialect has no words for cannot be done', () => {
  const deepseek = server('a', { kind: 'deepseek', baseUrl: 'https://api.deepseek.com' })

  expect(knowledge(deepseek, 'anything').abilities).toEqual({
    context_length: null,
    tools: null,
    vision: null,
    json_schema: false,
  })
})

test('of an unknown model nothing is known', () => {
  expect(knowledge(openai, 'my-model')).toEqual({
    abilities: { context_length: null, tools: null, vision: null, json_schema: null },
    price: null,
  })
})
