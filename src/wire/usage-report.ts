import { z } from 'zod'

const count = () => z.int().min(0)
const usd = z.number().describe('US dollars.')
const group = z.string().nullable().optional()

/** One line of the usage: only the groups that were asked for are there. */
export const usageLine = z
  .object({
    day: group.describe('The day in UTC, such as `2026-11-21`.'),
    key: group.describe('The id of the key, or the name of a key of the configuration.'),
    tenant: group.describe('The name of the tenant.'),
    model: group.describe('The public name of the model; null for requests that were refused before it was known.'),
    server: group.describe('The id of the server that answered; null when none did.'),
    user: group.describe('The end user that the request names.'),
    session: group.describe('The conversation that the request names.'),
    requests: count().describe('How many requests there were.'),
    input_tokens: count().describe('Prompt tokens that no prompt cache held.'),
    cache_read_tokens: count().describe('Prompt tokens that were read from a prompt cache of the provider.'),
    cache_write_tokens: count().describe('Prompt tokens that were written to a prompt cache of the provider.'),
    output_tokens: count().describe('Answer tokens.'),
    reasoning_tokens: count().describe('Answer tokens spent on reasoning; a part of `output_tokens`.'),
    saved_tokens: count().describe('Tokens of answers for which no server was asked.'),
    cost_usd: usd.describe('What callers were charged, in US dollars.'),
    extra_cost_usd: usd.describe(
      'What was paid besides, in US dollars, such as for attempts whose answer was not used.',
    ),
    saved_usd: usd.describe('What the cache saved, in US dollars.'),
    estimated: count().describe('Requests whose tokens the gateway estimated, because the server did not report them.'),
    lost: count().describe('Requests whose gateway process died before they ended.'),
    unpriced: count().describe('Requests whose cost is not known; the sums of money do not include them.'),
  })
  .meta({ id: 'UsageLine', description: 'The sums over one group of requests.' })
export type UsageLine = z.infer<typeof usageLine>

/** What a reader of a report has to know who takes it for all that happened. */
export const reportNote = z
  .string()
  .optional()
  .describe(
    'Why the report does not say all that happened, such as that no rows are kept, or no longer; absent where it does.',
  )

/** The answer of `GET /management/usage`. */
export const usagePage = z.object({ data: z.array(usageLine), next: z.string().nullable(), note: reportNote })

/** A user or a session of one key. */
const namedLine = z
  .object({
    id: z.string().describe('The id of the user or conversation, as requests name it.'),
    key: z.string().describe('The id of the key, or the name of a key of the configuration.'),
    tenant: z.string().describe('The tenant of the key.'),
    first_seen: z.iso.datetime().describe('When a request first named it.'),
    last_seen: z.iso.datetime().describe('When a request last named it.'),
    requests: count().describe('How many requests named it.'),
    tokens: count().describe('Tokens of the prompts and answers of these requests.'),
  })
  .meta({ id: 'NamedLine', description: 'An end user or a conversation of one key.' })
export type NamedLine = z.infer<typeof namedLine>

/** The answer of `GET /management/users` and `GET /management/sessions`. */
export const namedPage = z.object({ data: z.array(namedLine), next: z.string().nullable(), note: reportNote })
