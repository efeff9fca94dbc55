import { z } from 'zod'

/** What was to be forgotten is remembered for a while, here and in Redis. The longest names are those of callers with
 * tokens: the address of an issuer, and the subject behind it. */
const name = z.string().min(1).max(1024)

/** The body of `POST /management/cache/clear`. */
export const cacheClearRequest = z
  .strictObject({
    model: name.optional().describe('Only answers of this model, by its public name.'),
    tenant: name
      .optional()
      .describe(
        'Only answers to keys of this tenant. When absent: the own tenant, and for administrators of the tenant `default` all tenants.',
      ),
    key: name
      .optional()
      .describe(
        'Only answers to this caller: the name of a key of the configuration, the id of a key made at run time, or the address of callers without a key.',
      ),
  })
  .prefault({})
  .meta({ id: 'CacheClearRequest', description: 'Which stored answers to remove; all of them when no field is given.' })

/** The answer of `POST /management/cache/clear`. */
export const cacheClearResponse = z
  .object({
    object: z.literal('cache.cleared'),
    cleared: z
      .int()
      .describe('How many answers were removed, at least; other nodes remove theirs within five seconds.'),
  })
  .meta({ id: 'CacheCleared', description: 'What was removed.' })
