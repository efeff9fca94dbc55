import { z } from 'zod'

const count = () => z.int().min(0)

/** What a tenant's model calls came to since this process started. */
export const stats = z
  .object({
    tenant: z.string().describe('Whose model calls are counted.'),
    since: z.iso.datetime().describe('When this process started to count.'),
    uptime_seconds: z.number().describe('How long that is ago.'),
    requests: z
      .object({
        total: count(),
        ok: count(),
        recovered: count().describe('Answered in spite of a server that broke off.'),
        hit: count().describe('Answered from the cache.'),
        coalesced: count().describe('Answered with an equal call that was under way.'),
        denied: count(),
        cancelled: count(),
        failed: count(),
        interrupted: count().describe('Broken off after their first content.'),
      })
      .describe('By how they ended.'),
    tokens: z
      .object({ input: count(), cache_read: count(), cache_write: count(), output: count(), reasoning: count() })
      .describe('Of what servers were asked for. Disjoint classes, but reasoning is a part of output.'),
    cache: z
      .object({
        hits: count(),
        coalesced: count(),
        misses: count(),
        hit_ratio: z.number().describe('The share of these for which no server was asked, 0 to 1.'),
        saved_tokens: count().describe('Tokens answered without asking a server.'),
        saved_usd: z.number().min(0).describe('What these would have cost, as far as their price is known.'),
      })
      .describe('What the cache did; all 0 while it is off.'),
  })
  .meta({ id: 'Stats', description: 'Sums since the start of the process.' })
