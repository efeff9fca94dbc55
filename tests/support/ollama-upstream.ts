import { ndjson } from '#tests/support/upstream.ts'

/** The streamed answer of an Ollama to a chat, a word a line. */
export function ollamaStream(model: string, ...words: readonly string[]) {
  const line = (content: string, done: boolean) => ({
    model,
    created_at: '2026-01-01T00:00:00Z',
    message: { role: 'assistant', content },
    done,
    ...(done && { done_reason: 'stop', prompt_eval_count: 3, eval_count: 2 }),
  })
  return ndjson([...words.map(word => line(word, false)), line('', true)])
}

/** What an Ollama with this one model lists. */
export function ollamaTags(model: string): object {
  return { models: [{ name: model, model, details: {} }] }
}
