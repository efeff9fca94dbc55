import { describe, expect, test } from 'bun:test'
import type { Usage, UsageParts } from '#core/usage.ts'
import { fromAnthropicUsage, mergeUsage } from '#providers/anthropic/usage.ts'
import type { Count } from '#providers/count.ts'
import { fromGeminiUsage, toGeminiCount } from '#providers/gemini/usage.ts'
import { fromOllamaUsage } from '#providers/ollama/usage.ts'
import { fromUsage } from '#providers/openai_compatible/usage.ts'

/** What each dialect makes of an answer of ten tokens to a prompt of so many. */
const READERS: Readonly<Record<string, (prompt: number) => Usage | null>> = {
  openai: prompt => fromUsage({ prompt_tokens: prompt, completion_tokens: 10 }),
  anthropic: prompt => fromAnthropicUsage({ input_tokens: prompt, output_tokens: 10 })?.usage ?? null,
  gemini: prompt => fromGeminiUsage({ promptTokenCount: prompt, candidatesTokenCount: 10 }),
  ollama: prompt => fromOllamaUsage({ prompt_eval_count: prompt, eval_count: 10 })?.usage ?? null,
}

describe.each(Object.entries(READERS))('counts of %s', (_, read) => {
  test.each([
    [7, 7],
    [6.6, 7],
    [1e9, 1e9],
    [-7, 0],
    // JSON has larger numbers than any answer, and than a database takes.
    [1e18, 0],
    [JSON.parse('1e400'), 0],
  ])('of %p tokens are read as %p', (given, input) => {
    expect(read(given)).toMatchObject({ input, output: 10, estimated: false })
  })
})

test('what Anthropic took to compact a conversation is counted with the answer, where its own sum leaves it out', () => {
  const iterations = [
    { type: 'compaction', input_tokens: 180_000, output_tokens: 3500, cache_read_input_tokens: 2000 },
    { type: 'message', input_tokens: 23_000, output_tokens: 1000 },
    { type: 'compaction', input_tokens: 100, output_tokens: 5, cache_creation_input_tokens: 60 },
  ]

  const count = fromAnthropicUsage({ input_tokens: 23_000, output_tokens: 1000, iterations })

  expect(count?.usage).toMatchObject({ input: 203_100, cacheRead: 2000, cacheWrite: 60, output: 4505 })
  expect(count?.raw).toMatchObject({ prompt_tokens: 205_160, completion_tokens: 4505 })
})

test("so is what Anthropic's other model took that gave advice", () => {
  const iterations = [
    { type: 'message', input_tokens: 1, output_tokens: 45 },
    { type: 'advisor_message', model: 'claude-opus-5', input_tokens: 159_419, output_tokens: 7805 },
    // Another model's answer that was refused: it is not paid for.
    { type: 'fallback_message', input_tokens: 700, output_tokens: 70 },
    { type: 'message', input_tokens: 1, output_tokens: 446 },
  ]

  const count = fromAnthropicUsage({ input_tokens: 2, output_tokens: 491, iterations })

  expect(count?.usage).toMatchObject({
    ...{ input: 159_421, output: 8296 },
    besides: [{ model: 'claude-opus-5', usage: { input: 159_419, output: 7805 } }],
  })
})

const NO_PARTS = { audioInput: 0, audioCacheRead: 0, audioOutput: 0, cacheWriteHour: 0, searches: 0 }
const plain = { input_tokens: 10, output_tokens: 1 }
const audio = (tokenCount: number) => [
  { modality: 'TEXT', tokenCount: 20 },
  { modality: 'AUDIO', tokenCount },
]

test.each([
  ['nothing of its own', fromAnthropicUsage(plain)?.usage, undefined],
  [
    'what a cache keeps for an hour',
    fromAnthropicUsage({
      ...{ ...plain, cache_creation_input_tokens: 60 },
      cache_creation: { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 40 },
    })?.usage,
    { cacheWriteHour: 40 },
  ],
  [
    'its share where the split is of the first part of a stream alone',
    fromAnthropicUsage({
      ...{ ...plain, cache_creation_input_tokens: 600 },
      cache_creation: { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 40 },
    })?.usage,
    { cacheWriteHour: 400 },
  ],
  [
    'what was kept of a conversation that was compacted',
    fromAnthropicUsage({
      ...plain,
      iterations: [
        {
          type: 'compaction',
          cache_creation_input_tokens: 60,
          cache_creation: { ephemeral_1h_input_tokens: 60 },
        },
      ],
    })?.usage,
    { cacheWriteHour: 60 },
  ],
  [
    'searches',
    fromAnthropicUsage({ ...plain, server_tool_use: { web_search_requests: 3, web_fetch_requests: 1 } })?.usage,
    { searches: 3 },
  ],
  [
    'no more searches than a database can hold the cost of',
    fromAnthropicUsage({ ...plain, server_tool_use: { web_search_requests: 1e9 } })?.usage,
    { searches: 1e6 },
  ],
  [
    'audio in a prompt, and in a spoken answer',
    fromUsage({
      ...{ prompt_tokens: 30, completion_tokens: 50 },
      prompt_tokens_details: { audio_tokens: 10, cached_tokens: 5 },
      completion_tokens_details: { audio_tokens: 40, text_tokens: 10 },
    }),
    { audioInput: 10, audioOutput: 40 },
  ],
  [
    'audio that was in a cache, said or not',
    fromUsage({
      prompt_tokens: 30,
      completion_tokens: 1,
      prompt_tokens_details: { audio_tokens: 28, cached_tokens: 5 },
    }),
    { audioInput: 25, audioCacheRead: 3 },
  ],
  [
    'audio that a cache is said to have had',
    fromUsage({
      ...{ prompt_tokens: 30, completion_tokens: 1 },
      prompt_tokens_details: { audio_tokens: 12, cached_tokens: 9, cached_tokens_details: { audio_tokens: 8 } },
    }),
    { audioInput: 4, audioCacheRead: 8 },
  ],
  [
    "audio in Gemini's words",
    fromGeminiUsage({
      ...{ promptTokenCount: 120, cachedContentTokenCount: 90, candidatesTokenCount: 30, thoughtsTokenCount: 5 },
      ...{ promptTokensDetails: audio(100), cacheTokensDetails: audio(70), candidatesTokensDetails: audio(10) },
    }),
    { audioInput: 30, audioCacheRead: 70, audioOutput: 10 },
  ],
  ['what is no number', fromUsage({ prompt_tokens: 1, prompt_tokens_details: { audio_tokens: 'x' } }), undefined],
])('a count says %s', (_, usage, parts) => {
  expect(usage?.parts).toEqual(parts && { ...NO_PARTS, ...parts })
})

test('a stream says it, too, also when only its beginning splits what went into the cache', () => {
  const before = {
    ...{ input_tokens: 10, cache_creation_input_tokens: 60, output_tokens: 1 },
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 60 },
  }
  const now = { cache_creation_input_tokens: 90, output_tokens: 5, server_tool_use: { web_search_requests: 2 } }

  expect(fromAnthropicUsage(mergeUsage(before, now))?.usage.parts).toEqual({
    ...{ ...NO_PARTS, cacheWriteHour: 90, searches: 2 },
  })
})

const counts = { prompt_tokens: 10, completion_tokens: 1 }
const gemini = { promptTokenCount: 10, candidatesTokenCount: 1 }

test.each<[string, Usage | null | undefined, object]>([
  ['OpenAI', fromUsage(counts, 'priority'), { serviceTier: 'priority' }],
  ['OpenAI, the usual one', fromUsage(counts, 'default'), { serviceTier: 'default' }],
  ['who says nothing', fromUsage(counts, null), {}],
  ['who says what was asked for', fromUsage(counts, 'auto'), {}],
  ['who says nonsense', fromUsage(counts, `x${'y'.repeat(40)}`), {}],
  ['Groq', fromUsage(counts, 'on_demand'), { serviceTier: 'default' }],
  [
    'a gateway before Anthropic',
    fromUsage({ ...counts, service_tier: 'standard', inference_geo: 'us' }),
    { serviceTier: 'default', inferenceGeo: 'us' },
  ],
  ['Anthropic', fromAnthropicUsage({ ...plain, service_tier: 'priority' })?.usage, { serviceTier: 'priority' }],
  [
    'Anthropic, of its speed',
    fromAnthropicUsage({ ...plain, service_tier: 'standard', speed: 'fast', inference_geo: 'us' })?.usage,
    { serviceTier: 'fast', inferenceGeo: 'us' },
  ],
  [
    'Anthropic, of no place',
    fromAnthropicUsage({ ...plain, speed: 'standard', inference_geo: 'not_available' })?.usage,
    {},
  ],
  ['Gemini', fromGeminiUsage({ ...gemini, serviceTier: 'flex' }), { serviceTier: 'flex' }],
  ['Vertex', fromGeminiUsage({ ...gemini, trafficType: 'ON_DEMAND_PRIORITY' }), { serviceTier: 'priority' }],
  ['Vertex, the usual one', fromGeminiUsage({ ...gemini, trafficType: 'ON_DEMAND' }), { serviceTier: 'default' }],
  ['Vertex, none', fromGeminiUsage({ ...gemini, trafficType: 'TRAFFIC_TYPE_UNSPECIFIED' }), {}],
])('the tier of service is read as %s tells it', (_, usage, served) => {
  const { serviceTier, inferenceGeo } = usage ?? {}

  expect({ serviceTier, inferenceGeo }).toEqual({ serviceTier: undefined, inferenceGeo: undefined, ...served })
})

test.each<[string, Count | null, Partial<UsageParts>]>([
  [
    'Anthropic',
    fromAnthropicUsage({
      ...{ input_tokens: 10, cache_read_input_tokens: 7, cache_creation_input_tokens: 60, output_tokens: 5 },
      cache_creation: { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 40 },
      ...{ server_tool_use: { web_search_requests: 2 }, service_tier: 'standard', speed: 'fast', inference_geo: 'us' },
    }),
    { cacheWriteHour: 40, searches: 2 },
  ],
  [
    'Gemini',
    geminiCount({ cachedContentTokenCount: 30, cacheTokensDetails: audio(8), serviceTier: 'flex' }),
    { audioInput: 42, audioCacheRead: 8, audioOutput: 4 },
  ],
])('what %s counts costs the same behind two gateways', (_, count, parts) => {
  expect(count?.usage.parts).toEqual({ ...NO_PARTS, ...parts })
  expect(fromUsage(count?.raw)).toEqual(count?.usage ?? null)
})

function geminiCount(more: object): Count | null {
  const usage = fromGeminiUsage({
    ...{ promptTokenCount: 100, candidatesTokenCount: 9, promptTokensDetails: audio(50) },
    ...{ candidatesTokensDetails: audio(4), ...more },
  })
  return usage && toGeminiCount(usage)
}

test('what LiteLLM writes of a cache is read as OpenRouter writes it', () => {
  const prompt_tokens_details = {
    ...{ cached_tokens: 20, cache_creation_tokens: 10 },
    cache_creation_token_details: { ephemeral_5m_input_tokens: 7, ephemeral_1h_input_tokens: 3 },
  }

  expect(fromUsage({ prompt_tokens: 130, completion_tokens: 5, prompt_tokens_details })).toMatchObject({
    ...{ input: 100, cacheRead: 20, cacheWrite: 10, parts: { cacheWriteHour: 3 } },
  })
})
