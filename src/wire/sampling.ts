import { z } from 'zod'
import { streamOptions } from './usage.ts'

/** The fields of a request that the gateway itself reads, the same for chat, text completions and embeddings. */
export const routing = {
  model: z
    .string()
    .min(1)
    .optional()
    .describe(
      'A model by its public name, an alias, or `server/model` for one server. Without it, or with `auto`, the gateway chooses when it is configured to.',
    ),
  fallbacks: z
    .array(z.string().min(1))
    .max(100)
    .optional()
    .describe('Models to try in this order when the asked one fails. Read by the gateway and not passed on.'),
  cache: z
    .boolean()
    .nullish()
    .describe('`false` keeps the answer out of the cache. Read by the gateway and not passed on.'),
}

/** The fields that steer how a text is generated, the same for chat and text completions. */
export const sampling = {
  stream: z.boolean().nullish().describe('Sends the answer piece by piece as server-sent events.'),
  stream_options: streamOptions.nullish().describe('Only with `stream: true`.'),
  temperature: z.number().min(0).max(2).nullish().describe('How freely the model chooses words; 0 for the likeliest.'),
  top_p: z.number().min(0).max(1).nullish().describe('Considers only the likeliest words up to this probability.'),
  n: z.int().min(1).max(128).nullish().describe('How many answers to generate.'),
  stop: z
    .union([z.string(), z.array(z.string()).min(1)])
    .nullish()
    .describe('Ends the answer before any of these texts.'),
  frequency_penalty: z.number().min(-2).max(2).nullish().describe('Above 0, repeats words less.'),
  presence_penalty: z.number().min(-2).max(2).nullish().describe('Above 0, moves on to new subjects sooner.'),
  logit_bias: z.record(z.string(), z.number()).nullish().describe('Token ids and how much likelier each becomes.'),
  seed: z.int().nullish().describe('Asks for the same answer to the same request, where the model server can.'),
  user: z.string().optional().describe('An opaque name of the end user, passed on to the model server.'),
}
