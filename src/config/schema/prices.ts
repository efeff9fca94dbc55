import { z } from 'zod'
import { integer, number } from './scalars.ts'

/** The highest price, in dollars for a million tokens. More than a dollar for each token is a typing mistake, and the
 * sums would be more than a database can count. */
const AMOUNT_MAX = 1_000_000
/** The same for a search, of which a call may need many. */
const SEARCH_MAX = 1000

/** An amount of US dollars, or null where it is not known. */
export const amount = (max = AMOUNT_MAX) => number({ min: 0, max }).nullable().default(null)

const rates = {
  input: amount().describe('US dollars per million prompt tokens.'),
  output: amount().describe('US dollars per million answer tokens.'),
  cache_read: amount().describe(
    'US dollars per million prompt tokens that the provider reads from its own cache. null: the price of input.',
  ),
  cache_write: amount().describe(
    'US dollars per million prompt tokens that the provider writes to its own cache. null: the price of input.',
  ),
  cache_write_1h: amount().describe(
    'US dollars per million prompt tokens that are kept in that cache for an hour. null: the price of cache_write.',
  ),
  audio_input: amount().describe('US dollars per million prompt tokens of audio. null: the price of input.'),
  audio_cache_read: amount().describe(
    'US dollars per million audio tokens that are read from the cache. null: the price of cache_read.',
  ),
  audio_output: amount().describe('US dollars per million answer tokens of audio. null: the price of output.'),
  reasoning: amount().describe('US dollars per million reasoning tokens. null: the price of output.'),
}

const tier = z.strictObject({
  above: integer({ min: 1 }).describe('The tier applies to prompts of more tokens than this.'),
  ...rates,
})

/** What providers call the tiers of service that they sell: a name that none of them has would never apply. */
const tierNames = [
  ...['default', 'flex', 'priority', 'fast', 'ultrafast', 'batch'],
  ...['scale', 'performance', 'reserved', 'provisioned_throughput'],
]

/** More than a hundred times the usual price is a typing mistake. */
const times = () => number({ min: 0, max: 100 })

/** As answers are read: another spelling would never apply. */
const place = () =>
  z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'expected the name of a place in small letters, such as us')

const serviceTiers = z.strictObject(Object.fromEntries(tierNames.map(name => [name, times().optional()])))

export const price = z.strictObject({
  ...rates,
  request: amount().describe('US dollars per request. If only this is set, nothing else costs anything.'),
  search: amount(SEARCH_MAX).describe(
    'US dollars per web search that the provider makes for a call. null: the price in config/models.yaml, if it is known there.',
  ),
  tiers: z
    .array(tier)
    .default([])
    .describe(
      'Prices for all tokens of calls with a long prompt. What a tier does not name stays as for shorter prompts.',
    ),
  service_tiers: serviceTiers
    .nullable()
    .default(null)
    .describe(
      'How many times these prices the tokens of a call cost that is served at another tier of service, such as { flex: 0.5, priority: 2 }. null: as in config/models.yaml, if it is known there.',
    ),
  inference_geo: z
    .record(place(), times())
    .nullable()
    .default(null)
    .describe(
      'The same by the place where the model runs, such as { us: 1.1 } at Anthropic. null: as in config/models.yaml, if it is known there.',
    ),
})
