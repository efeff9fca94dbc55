import { z } from 'zod'

/** The body of `POST /management/cache/clear`. */
export const cacheClearRequest = z
  .strictObject({
    model: z.string().min(1).optional().describe('Only answers of this model, by its public name.'),
    tenant: z
      .string()
      .min(1)
      .optional()
      .describe('Only answers to keys of this tenant; all tenants when absent, for who may.'),
    key: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Only answers to the key of this name, or of this id when it was made at run time; to callers of this address when they have no key.',
      ),
  })
  .prefault({})
  .meta({ id: 'CacheClearRequest', description: 'Which answers are meant; all of them when nothing is given.' })

/** The answer of `POST /management/cache/clear`. */
export const cacheClearResponse = z
  .object({
    object: z.literal('cache.cleared'),
    cleared: z.int().describe('Answers that were forgotten, at least; other nodes follow within five seconds.'),
  })
  .meta({ id: 'CacheCleared', description: 'What was forgotten.' })
