import { z } from 'zod'
import { eachLimit, type LimitName, refuseIdleBurst } from '#wire/keys.ts'
import { perClass } from './gateway.ts'
import { boolean, choice, integer, modelName, number, text } from './scalars.ts'

const rate = () => integer()

const WHAT: Readonly<Record<LimitName, string>> = {
  requests_per_minute: 'Requests per minute',
  requests_per_hour: 'Requests per hour',
  requests_per_day: 'Requests per day',
  tokens_per_minute: 'Tokens of prompts and answers per minute',
  tokens_per_hour: 'Tokens of prompts and answers per hour',
  tokens_per_day: 'Tokens of prompts and answers per day',
  concurrent_requests: 'Requests that may run at the same time',
}

const limitKeys = {
  ...eachLimit(name => rate().default(0).describe(`${WHAT[name]}; 0: no limit.`)),
  burst: integer({ min: 1 })
    .nullable()
    .default(null)
    .describe(
      'How many requests may arrive at the same moment. It applies to the shortest period with a limit. null: as many as that limit.',
    ),
}

const limitSet = z.strictObject(limitKeys).superRefine(refuseIdleBurst)

// In a key, a limit that is absent is the one of every client, while 0 means no limit.
export const ownLimits = z
  .strictObject({
    ...eachLimit(name =>
      rate().nullable().default(null).describe(`${WHAT[name]}. null: as limits.per_client says; 0: no limit.`),
    ),
    burst: limitKeys.burst,
  })
  .superRefine(refuseIdleBurst)

// The default burst belongs to the default limit: with another limit and no burst, the burst is that limit.
const globalLimits = z
  .strictObject({
    ...limitKeys,
    requests_per_minute: rate()
      .optional()
      .describe('Requests per minute; 0: no limit. With the default of 1000, the burst is 100.'),
  })
  .superRefine(refuseIdleBurst)
  .prefault({})
  .transform(({ requests_per_minute, burst, ...others }) => ({
    ...others,
    requests_per_minute: requests_per_minute ?? 1000,
    burst: burst ?? (requests_per_minute === undefined ? 100 : null),
  }))

const clientLimits = z
  .strictObject({
    ...limitKeys,
    requests_per_minute: rate().default(100).describe('Requests per minute; 0: no limit.'),
  })
  .superRefine(refuseIdleBurst)
  .prefault({})

export const limits = z
  .strictObject({
    enabled: boolean().default(true).describe('Whether limits are applied; false: every request is admitted.'),
    global: globalLimits.describe('The limits of all callers together.'),
    per_client: clientLimits.describe('The limits of each caller: of each key, and of each address without a key.'),
    per_tenant: z
      .record(text(), limitSet)
      .default({})
      .describe(
        'The limits of all keys of a tenant together, by its name, such as shop: { tokens_per_day: 1000000 }; * for all others.',
      ),
    per_user: limitSet
      .prefault({})
      .describe(
        'The limits of each end user within a key, as safety_identifier or user of the request names the user.',
      ),
    per_address: limitSet.prefault({}).describe('The limits of each client address, with and without a key.'),
    per_model: z
      .record(modelName(), limitSet)
      .default({})
      .describe(
        'The limits of a model over all callers, by its public name, such as chat: { requests_per_minute: 10 }.',
      ),
    per_class: perClass(limitSet).describe(
      'The limits of each caller at each model of a class, such as heavyweight: { requests_per_minute: 10 }.',
    ),
    store_down: choice(['local', 'closed'])
      .default('local')
      .describe(
        'What happens while Redis cannot be reached. local: each process applies its share of the limits; closed: all requests are refused.',
      ),
    processes: integer({ min: 1 })
      .default(1)
      .describe(
        'The least number of processes that share the limits in Redis; it decides the share of each while Redis cannot be reached.',
      ),
  })
  .prefault({})
  .describe('How many requests and tokens are allowed.')

// The same bound as for keys made at run time. In billionths of a dollar, 64 bits hold only about nine times as much.
export const budget = z.strictObject({
  usd: number({ min: 0, max: 1_000_000_000 }).describe('The US dollars that may be spent.'),
  per: choice(['day', 'month']).default('month').describe('The period for which the budget holds: a day or a month.'),
})

export const budgets = z
  .strictObject({
    per_tenant: z
      .record(z.string().regex(/^(\*|[\w.:@-]{1,128})$/, 'expected the name of a tenant, or *'), budget)
      .default({})
      .describe(
        'The budget of all keys of a tenant together, by its name, such as shop: { usd: 500, per: month }; * for all others.',
      ),
  })
  .prefault({})
  .describe('How much money may be spent.')
