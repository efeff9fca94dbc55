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
