import { expect, test } from 'bun:test'
import type { z } from 'zod'
import type {
  ChatChunk,
  ChatCompletion,
  Completion,
  EmbeddingList,
  Model,
  RequestReport,
  Usage,
} from '#src/client/index.ts'
import { chatChunk, chatResponse } from '#wire/chat.ts'
import { completionResponse } from '#wire/completions.ts'
import { embeddingResponse } from '#wire/embeddings.ts'
import type { modelEntry } from '#wire/models.ts'
import type { requestReport } from '#wire/requests.ts'
import type { usage } from '#wire/usage.ts'

// The compiler refuses each of these as soon as the library promises what the API reference does not.
const asTyped = {
  chat: (answer: z.output<typeof chatResponse>): ChatCompletion => answer,
  chunk: (answer: z.output<typeof chatChunk>): ChatChunk => answer,
  completion: (answer: z.output<typeof completionResponse>): Completion => answer,
  embeddings: (answer: z.output<typeof embeddingResponse>): EmbeddingList => answer,
  model: (answer: z.output<typeof modelEntry>): Model => answer,
  report: (answer: z.output<typeof requestReport>): RequestReport => answer,
  usage: (answer: z.output<typeof usage>): Usage => answer,
}

test('what a server may leave out, the types do not promise', () => {
  const head = { id: 'x', created: 1, model: 'm' }
  const custom = { id: 'call_1', type: 'custom', custom: { name: 'sql', input: 'select 1' } }
  const message = { role: 'assistant', content: null, tool_calls: [custom] }

  const chat = asTyped.chat(
    chatResponse.parse({
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: 'tool_calls' }],
    }),
  )
  const completion = asTyped.completion(
    completionResponse.parse({ ...head, object: 'text_completion', choices: [{ index: 0, text: 'Hi' }] }),
  )
  const embeddings = asTyped.embeddings(embeddingResponse.parse({ object: 'list', data: [], model: 'm' }))
  const chunk = asTyped.chunk(chatChunk.parse({ ...head, object: 'chat.completion.chunk', choices: [] }))

  expect(chat.choices[0]?.message.tool_calls?.[0]?.function?.name).toBeUndefined()
  expect(completion.choices[0]?.finish_reason).toBeUndefined()
  expect([embeddings.usage, chunk.usage, chat.usage]).toEqual([undefined, undefined, undefined])
})
