import { z } from 'zod'

const count = () => z.int().min(0)

/** What a tenant's model calls came to since this process started. */
export const stats = z
  .object({
    tenant: z.string().describe('The tenant whose model calls are counted.'),
    since: z.iso.datetime().describe('When this process started to count.'),
    uptime_seconds: z.number().describe('Seconds since then.'),
    requests: z
      .object({
        total: count().describe('All model calls that have ended.'),
        ok: count().describe('Answered by a model server.'),
        recovered: count().describe('Answered although a server broke off: another one continued the stream.'),
        hit: count().describe('Answered from the cache.'),
        coalesced: count().describe('Answered with the answer of an equal call that was running.'),
        denied: count().describe('Refused by the gateway, for example by a limit.'),
        cancelled: count().describe('Ended by the caller.'),
        failed: count().describe('Failed at every server that was tried.'),
        interrupted: count().describe('Broken off after the first content was sent.'),
      })
      .describe('Model calls by how they ended.'),
    tokens: z
      .object({ input: count(), cache_read: count(), cache_write: count(), output: count(), reasoning: count() })
      .describe(
        'Tokens of the calls that servers answered. Each is counted in one class only, except for `reasoning`, which is a part of `output`.',
      ),
    cache: z
      .object({
        hits: count(),
        coalesced: count(),
        misses: count(),
        hit_ratio: z.number().describe('The share of `hits` and `coalesced` in all three, from 0 to 1.'),
        saved_tokens: count().describe('Tokens of answers for which no server was asked.'),
        saved_usd: z
          .number()
          .min(0)
          .describe('What those tokens would have cost in US dollars, as far as their prices are known.'),
      })
      .describe('What the cache did; all 0 while it is off.'),
  })
  .meta({ id: 'Stats', description: 'Counts since the start of the process that answers.' })
