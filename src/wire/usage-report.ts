import { z } from 'zod'

const count = () => z.int().min(0)
const usd = z.number().describe('US dollars.')
const group = z.string().nullable().optional()

/** One line of the usage: only the groups that were asked for are there. */
export const usageLine = z
  .object({
    day: group.describe('The day, UTC.'),
    key: group.describe('The id of the key, or its name where it stands in the configuration.'),
    tenant: group,
    model: group.describe('The public name; null for requests that were refused before it was known.'),
    server: group,
    requests: count(),
    input_tokens: count(),
    cache_read_tokens: count(),
    cache_write_tokens: count(),
    output_tokens: count(),
    reasoning_tokens: count().describe('A part of the output.'),
    saved_tokens: count().describe('Given again from a cache.'),
    cost_usd: usd.describe('What callers were charged, in US dollars.'),
    extra_cost_usd: usd.describe('What answering cost besides, such as attempts that were paid for and not used.'),
    saved_usd: usd.describe('What the cache saved.'),
    estimated: count().describe('Requests whose tokens the gateway counted itself.'),
    lost: count().describe('Requests whose process died.'),
    unpriced: count().describe('Requests whose cost nobody knows; they are not in the sums of money.'),
  })
  .meta({ id: 'UsageLine', description: 'What a group of requests came to.' })
export type UsageLine = z.infer<typeof usageLine>

/** The answer of `GET /management/usage`. */
export const usagePage = z.object({ data: z.array(usageLine), next: z.string().nullable() })
