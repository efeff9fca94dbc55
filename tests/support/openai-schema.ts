import { z } from 'zod'

/** OpenAI's answers as its own document and its recorded traffic have them.
 *
 * What a server adds may stand beside them, as OpenAI's clients ignore what they do not know; but no field of OpenAI's
 * may be missing, null or of another type where OpenAI's never is. Three fields that the document requires are left out
 * by OpenAI itself or by every server that imitates it: `logprobs`, `refusal`, `annotations`. */
const count = () => z.int().min(0)

const usage = z.looseObject({
  prompt_tokens: count(),
  completion_tokens: count(),
  total_tokens: count(),
  prompt_tokens_details: z
    .looseObject({ cached_tokens: count().optional(), cache_write_tokens: count().optional() })
    .nullish(),
  completion_tokens_details: z.looseObject({ reasoning_tokens: count().optional() }).nullish(),
})

const tokenLogprob = z.looseObject({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()).nullish(),
  top_logprobs: z.array(z.looseObject({ token: z.string(), logprob: z.number() })).optional(),
})

const chatLogprobs = z
  .looseObject({ content: z.array(tokenLogprob).nullish(), refusal: z.array(tokenLogprob).nullish() })
  .nullish()

const functionCall = z.looseObject({ name: z.string().min(1), arguments: z.string() })

const toolCall = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('function'), id: z.string().min(1), function: functionCall }),
  z.looseObject({
    type: z.literal('custom'),
    id: z.string().min(1),
    custom: z.looseObject({ name: z.string().min(1), input: z.string() }),
  }),
])

const finishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter', 'function_call'])

const head = {
  id: z.string(),
  created: z.int(),
  model: z.string(),
  system_fingerprint: z.string().nullish(),
  service_tier: z.string().nullish(),
}

const message = z.looseObject({
  role: z.literal('assistant'),
  content: z.string().nullable(),
  refusal: z.string().nullish(),
  reasoning_content: z.string().nullish(),
  annotations: z.array(z.looseObject({ type: z.string() })).optional(),
  tool_calls: z.array(toolCall).optional(),
  function_call: functionCall.nullish(),
})

/** `POST /v1/chat/completions`, plain. */
export const chatCompletion = z.looseObject({
  object: z.literal('chat.completion'),
  ...head,
  choices: z
    .array(z.looseObject({ index: count(), message, finish_reason: finishReason, logprobs: chatLogprobs }))
    .min(1),
  usage: usage.optional(),
})

const toolCallDelta = z.looseObject({
  index: count(),
  id: z.string().min(1).optional(),
  type: z.literal('function').optional(),
  function: z.looseObject({ name: z.string().min(1).optional(), arguments: z.string().optional() }).optional(),
})

const delta = z.looseObject({
  role: z.literal('assistant').optional(),
  content: z.string().nullish(),
  refusal: z.string().nullish(),
  reasoning_content: z.string().nullish(),
  tool_calls: z.array(toolCallDelta).optional(),
})

/** One event of `POST /v1/chat/completions`, streamed. */
export const chatCompletionChunk = z.looseObject({
  object: z.literal('chat.completion.chunk'),
  ...head,
  choices: z.array(
    z.looseObject({ index: count(), delta, finish_reason: finishReason.nullish(), logprobs: chatLogprobs }),
  ),
  usage: usage.nullish(),
})

/** `POST /v1/completions`, plain or one event of a stream. */
export const textCompletion = z.looseObject({
  object: z.literal('text_completion'),
  ...head,
  choices: z.array(
    z.looseObject({
      index: count(),
      text: z.string(),
      finish_reason: z.enum(['stop', 'length', 'content_filter']).nullish(),
      logprobs: z.looseObject({}).nullish(),
    }),
  ),
  usage: usage.nullish(),
})

/** `POST /v1/embeddings`. */
export const embeddingList = z.looseObject({
  object: z.literal('list'),
  model: z.string(),
  data: z
    .array(
      z.looseObject({
        object: z.literal('embedding'),
        index: count(),
        embedding: z.union([z.array(z.number()).min(1), z.base64().min(1)]),
      }),
    )
    .min(1),
  usage: z.looseObject({ prompt_tokens: count(), total_tokens: count() }),
})

/** The schema of a whole answer, by endpoint. */
export const plainSchemas = { chat: chatCompletion, completions: textCompletion, embeddings: embeddingList } as const

/** The schema of one event of a stream, by endpoint. */
export const streamSchemas = { chat: chatCompletionChunk, completions: textCompletion } as const

/** What a strict reader would hold against an answer: one line for each problem, with its place. */
export function schemaProblems(schema: z.ZodType, value: unknown): string[] {
  const { error } = schema.safeParse(value)
  return (error?.issues ?? []).map(issue => `${issue.path.join('.')}: ${issue.message}`)
}

/** The same for the events of a stream, each the text that goes to the caller. */
export function chunkProblems(schema: z.ZodType, events: readonly string[]): string[] {
  return events.flatMap((event, at) => {
    const value: unknown = JSON.parse(event.slice('data: '.length))
    return schemaProblems(schema, value).map(problem => `event ${at}: ${problem}`)
  })
}
