import { z } from 'zod'

const count = () => z.int().min(0)

/** How many tokens a request read and wrote. */
export const usage = z
  .looseObject({
    prompt_tokens: count().describe('Tokens of the prompt, those read from a prompt cache included.'),
    completion_tokens: count().optional().describe('Tokens of the answer, reasoning included. Absent for embeddings.'),
    total_tokens: count().describe('Both together.'),
    prompt_tokens_details: z
      .looseObject({
        cached_tokens: count().optional().describe('Prompt tokens that came from a prompt cache.'),
        cache_write_tokens: count().optional().describe('Prompt tokens that were written to a prompt cache.'),
        audio_tokens: count().optional().describe('Prompt tokens that were audio.'),
      })
      .nullish()
      .describe('Which kinds of tokens the prompt had, when the model server says so.'),
    completion_tokens_details: z
      .looseObject({
        reasoning_tokens: count().optional().describe('Tokens spent on reasoning; a part of `completion_tokens`.'),
        audio_tokens: count().optional().describe('Answer tokens that were audio.'),
      })
      .nullish()
      .describe('Which kinds of tokens the answer had, when the model server says so.'),
  })
  .meta({ id: 'Usage', description: 'Token counts as the model server reports them.' })

/** The options of a stream, for chat and for text completions. */
export const streamOptions = z
  .looseObject({
    include_usage: z
      .boolean()
      .optional()
      .describe('Adds one chunk with empty `choices` and the `usage` of the whole answer before `data: [DONE]`.'),
  })
  .meta({ id: 'StreamOptions', description: 'Only with `stream: true`.' })
