import { describe, expect, test } from 'bun:test'
import type { Usage } from '#core/usage.ts'
import { fromAnthropicUsage } from '#providers/anthropic/usage.ts'
import { fromGeminiUsage } from '#providers/gemini/usage.ts'
import { fromOllamaUsage } from '#providers/ollama/usage.ts'
import { fromUsage } from '#providers/openai_compatible/usage.ts'

/** What each dialect makes of an answer of ten tokens to a prompt of so many. */
const READERS: Readonly<Record<string, (prompt: number) => Usage | null>> = {
  openai: prompt => fromUsage({ prompt_tokens: prompt, completion_tokens: 10 }),
  anthropic: prompt => fromAnthropicUsage({ input_tokens: prompt, output_tokens: 10 })?.usage ?? null,
  gemini: prompt => fromGeminiUsage({ promptTokenCount: prompt, candidatesTokenCount: 10 })?.usage ?? null,
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
