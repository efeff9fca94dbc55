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
    user: group.describe('The end user that the request names.'),
    session: group.describe('The conversation that the request names.'),
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

/** A user or a session of one key. */
export const namedLine = z
  .object({
    id: z.string().describe('As requests name it.'),
    key: z.string().describe('The id of the key, or its name where it stands in the configuration.'),
    tenant: z.string(),
    first_seen: z.iso.datetime(),
    last_seen: z.iso.datetime(),
    requests: count(),
    tokens: count().describe('Of prompts and answers.'),
  })
  .meta({ id: 'NamedLine', description: 'An end user or a conversation, as requests of one key name it.' })
export type NamedLine = z.infer<typeof namedLine>

/** The answer of `GET /management/users` and `GET /management/sessions`. */
export const namedPage = z.object({ data: z.array(namedLine), next: z.string().nullable() })
