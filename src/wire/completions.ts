import { z } from 'zod'
import { routing, sampling } from './sampling.ts'
import { usage } from './usage.ts'

/** The body of `POST /v1/completions`. */
export const completionRequest = z
  .looseObject({
    ...routing,
    prompt: z
      .union([z.string(), z.array(z.string()).min(1), z.array(z.int()).min(1), z.array(z.array(z.int()).min(1)).min(1)])
      .describe('A text, several texts, or the same as token ids.'),
    ...sampling,
    max_tokens: z.int().min(0).nullish().describe('The longest answer in tokens; many servers stop at 16 without it.'),
    suffix: z.string().nullish().describe('What comes after the answer, for models that fill gaps.'),
    echo: z.boolean().nullish().describe('Whether the answer begins with the prompt.'),
    best_of: z.int().min(0).max(20).nullish().describe('Generates this many and gives the best; not with `stream`.'),
    logprobs: z.int().min(0).nullish().describe('For each token this many alternatives.'),
  })
  .meta({
    id: 'CompletionRequest',
    description: 'A text to continue. Fields that are not listed here are passed on to the model server.',
  })

const choice = z
  .looseObject({
    index: z.int().describe('Which answer this is, or which this piece belongs to.'),
    text: z.string().describe('The text, or its next piece in a stream.'),
    finish_reason: z
      .string()
      .nullish()
      .meta({ description: 'Why it ended; null in a stream until the end.', examples: ['stop', 'length'] }),
    logprobs: z.looseObject({}).nullish().describe('How likely each token was, when asked for.'),
  })
  .meta({ id: 'CompletionChoice' })

/** The answer of `POST /v1/completions`; in a stream each event has this shape too. */
export const completionResponse = z
  .looseObject({
    object: z.literal('text_completion'),
    id: z.string().describe('The id that the model server gave to the answer.'),
    created: z.int().describe('When, in Unix seconds.'),
    model: z.string().describe('The name of the model at the server. `x-citadel-model` has the public name.'),
    system_fingerprint: z.string().nullish().describe('The version of the model server, from servers that tell.'),
    choices: z.array(choice).describe('Empty in the chunk of a stream that carries `usage`.'),
    usage: usage
      .nullish()
      .describe('Of the whole answer; in a stream in the last chunk, when `include_usage` was asked for.'),
  })
  .meta({ id: 'Completion', description: 'A whole answer, or one piece of a streamed answer.' })
