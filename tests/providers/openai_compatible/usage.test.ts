import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { fromUsage } from '#providers/openai_compatible/usage.ts'

const NO_PARTS = { audioInput: 0, audioCacheRead: 0, audioOutput: 0, cacheWriteHour: 0, searches: 0 }
const none = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0, estimated: false }

describe('usage is read as disjoint classes', () => {
  test.each([
    ['plain', { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 }, { input: 10, output: 4 }],
    [
      'with a cache read',
      { prompt_tokens: 10, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 7 } },
      { input: 3, cacheRead: 7, output: 4 },
    ],
    [
      'with a cache write',
      { prompt_tokens: 10, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 2, cache_write_tokens: 5 } },
      { input: 3, cacheRead: 2, cacheWrite: 5, output: 4 },
    ],
    [
      "with a cache write in Alibaba's words, kept for an hour in part",
      {
        ...{ prompt_tokens: 1524, completion_tokens: 4 },
        prompt_tokens_details: {
          ...{ cached_tokens: 1305, cache_creation_input_tokens: 213, cache_type: 'ephemeral' },
          cache_creation: { ephemeral_5m_input_tokens: 13, ephemeral_1h_input_tokens: 200 },
        },
      },
      { input: 6, cacheRead: 1305, cacheWrite: 213, output: 4, parts: { ...NO_PARTS, cacheWriteHour: 200 } },
    ],
    [
      'with reasoning',
      { prompt_tokens: 10, completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 5 } },
      { input: 10, output: 9, reasoning: 5 },
    ],
    [
      "in DeepSeek's words",
      { prompt_tokens: 10, completion_tokens: 4, prompt_cache_hit_tokens: 8, prompt_cache_miss_tokens: 2 },
      { input: 2, cacheRead: 8, output: 4 },
    ],
    [
      "in Moonshot's words",
      { prompt_tokens: 10, completion_tokens: 4, cached_tokens: 8 },
      { input: 2, cacheRead: 8, output: 4 },
    ],
    [
      'with reasoning beside the completion',
      {
        prompt_tokens: 291,
        completion_tokens: 26,
        total_tokens: 513,
        completion_tokens_details: { reasoning_tokens: 196 },
      },
      { input: 291, output: 222, reasoning: 196 },
    ],
    [
      'with reasoning in the total only',
      { prompt_tokens: 35, completion_tokens: 12, total_tokens: 109 },
      { input: 35, output: 74, reasoning: 62 },
    ],
    [
      'with what Perplexity has read and thought for it, which its total leaves out',
      {
        ...{ prompt_tokens: 1188, completion_tokens: 4240, total_tokens: 5428 },
        ...{ citation_tokens: 8014, num_search_queries: 54, reasoning_tokens: 92_431 },
      },
      { input: 9202, output: 96_671, reasoning: 92_431, parts: { ...NO_PARTS, searches: 54 } },
    ],
    [
      'with what Mistral has heard, beside the prompt',
      {
        ...{ prompt_audio_seconds: 0, prompt_tokens: 6, completion_tokens: 2, total_tokens: 383 },
        prompt_tokens_details: { cached_tokens: 0, audio_tokens: 375 },
      },
      { input: 381, output: 2, parts: { ...NO_PARTS, audioInput: 375 } },
    ],
    [
      'with what Mistral has heard, where only its total says so',
      { prompt_audio_seconds: 203, prompt_tokens: 4, completion_tokens: 635, total_tokens: 3264 },
      { input: 2629, output: 635 },
    ],
    [
      'with what Mistral has heard, where its prompt has it already',
      {
        ...{ prompt_audio_seconds: 30, prompt_tokens: 381, completion_tokens: 2, total_tokens: 383 },
        prompt_tokens_details: { cached_tokens: 0, audio_tokens: 375 },
      },
      { input: 381, output: 2, parts: { ...NO_PARTS, audioInput: 375 } },
    ],
    [
      'with reasoning beside the details, as of SGLang',
      { prompt_tokens: 10, completion_tokens: 9, total_tokens: 19, reasoning_tokens: 5 },
      { input: 10, output: 9, reasoning: 5 },
    ],
    ['without a completion, as of embeddings', { prompt_tokens: 5, total_tokens: 5 }, { input: 5 }],
    [
      'with null details',
      { prompt_tokens: 5, completion_tokens: 1, prompt_tokens_details: null, completion_tokens_details: null },
      { input: 5, output: 1 },
    ],
    [
      'with more cached than there is',
      { prompt_tokens: 5, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 9 } },
      { cacheRead: 5, output: 1 },
    ],
  ])('%s', (_, raw, expected) => {
    expect(fromUsage(raw)).toEqual({ ...none, ...expected })
  })

  test.each<[unknown]>([
    [null],
    [undefined],
    ['a'],
    [5],
    [[]],
    [{}],
    [{ prompt_tokens: 0, completion_tokens: 0 }],
    [{ prompt_tokens: '5' }],
    [{ prompt_tokens: -5, completion_tokens: Number.NaN }],
  ])('and %j is not taken for a count', raw => {
    expect(fromUsage(raw)).toBeNull()
  })

  test('that add up, whatever a server says', () => {
    const number = fc.oneof(fc.nat(1000), fc.constant(undefined), fc.constant(null), fc.double())
    const raw = fc.record({
      prompt_tokens: fc.nat(1000),
      completion_tokens: number,
      total_tokens: number,
      prompt_tokens_details: fc.record({ cached_tokens: number, cache_write_tokens: number }),
      completion_tokens_details: fc.record({ reasoning_tokens: number }),
    })
    fc.assert(
      fc.property(raw, given => {
        const usage = fromUsage(given)

        if (usage === null) return
        expect(usage.input + usage.cacheRead + usage.cacheWrite).toBe(given.prompt_tokens)
        expect(usage.reasoning).toBeLessThanOrEqual(usage.output)
        for (const value of [usage.input, usage.cacheRead, usage.cacheWrite, usage.output, usage.reasoning]) {
          expect(Number.isInteger(value) && value >= 0).toBe(true)
        }
      }),
    )
  })
})
