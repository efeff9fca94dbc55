import { z } from 'zod'
import { routing } from './sampling.ts'
import { usage } from './usage.ts'

/** The body of `POST /v1/embeddings`. */
export const embeddingRequest = z
  .looseObject({
    ...routing,
    input: z
      .union([
        z.string(),
        z.array(z.string()).min(1).max(2048),
        z.array(z.int()).min(1),
        z.array(z.array(z.int()).min(1)).min(1).max(2048),
      ])
      .describe('A text or several texts. Token ids work only with servers that take them.'),
    encoding_format: z
      .enum(['float', 'base64'])
      .optional()
      .describe('`float` gives numbers; `base64` the same as little-endian 32-bit floats. `float` when absent.'),
    dimensions: z.int().min(1).optional().describe('How long the vectors are, for models that can shorten them.'),
    user: z.string().optional().describe('An opaque name of the end user, passed on to the model server.'),
  })
  .meta({
    id: 'EmbeddingRequest',
    description: 'Texts to turn into vectors. Fields that are not listed here are passed on to the model server.',
  })

const embedding = z
  .looseObject({
    object: z.literal('embedding'),
    index: z.int().describe('Which input it belongs to; the list keeps the order of the inputs.'),
    embedding: z.union([z.array(z.number()), z.string()]).describe('The vector: numbers, or base64 when asked for.'),
  })
  .meta({ id: 'Embedding' })

/** The answer of `POST /v1/embeddings`. */
export const embeddingResponse = z
  .looseObject({
    object: z.literal('list'),
    data: z.array(embedding).describe('One vector for each input.'),
    model: z.string().describe('The name of the model at the server. `x-citadel-model` has the public name.'),
    usage: usage.optional(),
  })
  .meta({ id: 'EmbeddingList', description: 'The vectors, in the order of the inputs.' })
