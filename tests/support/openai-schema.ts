import { z } from 'zod'

// OpenAI's answers to the letter, from its OpenAPI document: unknown members fail. What the gateway adds to them on
// purpose, because clients of other servers know it, is named here and nowhere else.
const added = {
  reasoning_content: z.string().nullish(),
  extra_content: z.strictObject({ google: z.strictObject({ thought_signature: z.string().min(1) }) }).optional(),
}

const tokens = z.int().min(0)

const usage = z.strictObject({
  prompt_tokens: tokens,
  completion_tokens: tokens,
  total_tokens: tokens,
  prompt_tokens_details: z
    .strictObject({ cached_tokens: tokens, cache_write_tokens: tokens, audio_tokens: tokens })
    .partial()
    .optional(),
  completion_tokens_details: z
    .strictObject({
      reasoning_tokens: tokens,
      audio_tokens: tokens,
      accepted_prediction_tokens: tokens,
      rejected_prediction_tokens: tokens,
    })
    .partial()
    .optional(),
})

const bytes = z.array(z.int().min(0).max(255)).nullable()
const logprob = { token: z.string(), logprob: z.number(), bytes }
const tokenLogprobs = z.array(z.strictObject({ ...logprob, top_logprobs: z.array(z.strictObject(logprob)) })).nullable()
const logprobs = z.strictObject({ content: tokenLogprobs, refusal: tokenLogprobs }).nullable()

const finishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter'])

const json = z.string().refine(text => {
  try {
    return JSON.parse(text) !== undefined
  } catch {
    return false
  }
}, 'is no JSON')

const toolCall = z.strictObject({
  id: z.string().min(1),
  type: z.literal('function'),
  function: z.strictObject({ name: z.string().min(1), arguments: json }),
  extra_content: added.extra_content,
})

const head = {
  id: z.string().min(1),
  created: z.int().positive(),
  model: z.string().min(1),
  system_fingerprint: z.string().nullish(),
  service_tier: z.string().nullish(),
}

/** A whole answer of `/v1/chat/completions`. */
export const chatCompletionSchema = z.strictObject({
  ...head,
  object: z.literal('chat.completion'),
  choices: z
    .array(
      z.strictObject({
        index: z.int().min(0),
        message: z.strictObject({
          role: z.literal('assistant'),
          content: z.string().nullable(),
          refusal: z.string().nullable(),
          annotations: z.array(z.unknown()).optional(),
          tool_calls: z.array(toolCall).min(1).optional(),
          ...added,
        }),
        logprobs,
        finish_reason: finishReason,
      }),
    )
    .min(1),
  usage: usage.optional(),
})

/** One chunk of a streamed `/v1/chat/completions`. */
export const chatChunkSchema = z.strictObject({
  ...head,
  object: z.literal('chat.completion.chunk'),
  choices: z.array(
    z.strictObject({
      index: z.int().min(0),
      delta: z.strictObject({
        role: z.literal('assistant').optional(),
        content: z.string().nullish(),
        refusal: z.string().nullish(),
        tool_calls: z
          .array(
            z.strictObject({
              index: z.int().min(0),
              id: z.string().min(1).optional(),
              type: z.literal('function').optional(),
              function: z.strictObject({ name: z.string().min(1).optional(), arguments: z.string().optional() }),
              extra_content: added.extra_content,
            }),
          )
          .min(1)
          .optional(),
        ...added,
      }),
      logprobs: logprobs.optional(),
      finish_reason: finishReason.nullable(),
    }),
  ),
  usage: usage.nullish(),
})

/** An answer of `/v1/embeddings`, its vectors as numbers or as base64. */
export const embeddingsSchema = z.strictObject({
  object: z.literal('list'),
  data: z
    .array(
      z.strictObject({
        object: z.literal('embedding'),
        index: z.int().min(0),
        embedding: z.union([z.array(z.number()).min(1), z.base64()]),
      }),
    )
    .min(1),
  model: z.string().min(1),
  usage: z.strictObject({ prompt_tokens: tokens, total_tokens: tokens }),
})
