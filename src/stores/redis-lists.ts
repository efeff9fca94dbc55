import { z } from 'zod'
import type { ListStore } from '#core/lists.ts'
import { parseJson } from '#lib/json.ts'
import type { Redis } from './redis.ts'

/** All lists together: a fleet has few servers. */
const LISTS = 'models:list'

const abilities = z.object({
  context_length: z.number().nullable(),
  tools: z.boolean().nullable(),
  vision: z.boolean().nullable(),
  json_schema: z.boolean().nullable(),
})

const stored = z.object({
  at: z.number(),
  models: z.array(
    z.object({
      id: z.string(),
      contextLength: z.number().nullable(),
      created: z.number(),
      ownedBy: z.string().nullable(),
      embedding: z.boolean(),
      abilities: abilities.partial().optional(),
      loaded: z.boolean().optional(),
    }),
  ),
})

/** Creates the store in Redis.
 *
 * @param holdMs After so many milliseconds without a new list all are forgotten. */
export function createRedisLists(redis: Pick<Redis, 'use' | 'available'>, holdMs: () => number): ListStore {
  return {
    async get(name) {
      if (!redis.available()) return null
      const text = await redis.use(client => client.hget(LISTS, name)).catch(() => null)
      const read = text === null ? null : stored.safeParse(parseJson(text))
      return read?.success ? read.data : null
    },
    set(name, list) {
      if (!redis.available()) return
      const write = redis.use(client =>
        Promise.all([client.hset(LISTS, name, JSON.stringify(list)), client.pexpire(LISTS, Math.max(1, holdMs()))]),
      )
      write.catch(() => {})
    },
  }
}
