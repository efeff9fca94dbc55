import { z } from 'zod'
import { isDay } from '#lib/calendar.ts'
import { refuseIdleBurst } from '#wire/keys.ts'
import { perClass } from './gateway.ts'
import { INSTANT, looksLike } from './patterns.ts'
import { boolean, choice, duration, httpUrl, integer, modelName, number, ownKey, secret, text } from './scalars.ts'

const rate = () => integer()

const limitKeys = {
  requests_per_minute: rate().default(0).describe('Requests per minute; 0: no limit.'),
  requests_per_hour: rate().default(0).describe('Requests per hour; 0: no limit.'),
  requests_per_day: rate().default(0).describe('Requests per day; 0: no limit.'),
  tokens_per_minute: rate().default(0).describe('Tokens of prompts and answers per minute; 0: no limit.'),
  tokens_per_hour: rate().default(0).describe('Tokens of prompts and answers per hour; 0: no limit.'),
  tokens_per_day: rate().default(0).describe('Tokens of prompts and answers per day; 0: no limit.'),
  concurrent_requests: rate().default(0).describe('Requests that may run at the same time; 0: no limit.'),
  burst: integer({ min: 1 })
    .nullable()
    .default(null)
    .describe(
      'How many requests may arrive at the same moment. It applies to the shortest period with a limit. null: as many as that limit.',
    ),
}

const limitSet = z.strictObject(limitKeys).superRefine(refuseIdleBurst)

const ownRate = (what: string) =>
  rate().nullable().default(null).describe(`${what}. null: as limits.per_client says; 0: no limit.`)

// In a key, a limit that is absent is the one of every client, while 0 means no limit.
const ownLimits = z
  .strictObject({
    requests_per_minute: ownRate('Requests per minute'),
    requests_per_hour: ownRate('Requests per hour'),
    requests_per_day: ownRate('Requests per day'),
    tokens_per_minute: ownRate('Tokens of prompts and answers per minute'),
    tokens_per_hour: ownRate('Tokens of prompts and answers per hour'),
    tokens_per_day: ownRate('Tokens of prompts and answers per day'),
    concurrent_requests: ownRate('Requests that may run at the same time'),
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
const budget = z.strictObject({
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

const moment = z.string().meta(looksLike(INSTANT))
const instant = moment.transform((value, context) => {
  const time = INSTANT.test(value) ? Date.parse(value) : Number.NaN
  if (!Number.isNaN(time) && isDay(value.slice(0, 10))) return time
  context.addIssue({ code: 'custom', message: 'expected a date such as 2027-01-01 or 2027-01-01T12:00:00Z' })
  return z.NEVER
})

const key = z
  .strictObject({
    name: text().describe("The caller's name in logs and metrics, such as web."),
    key: ownKey().optional().describe('The key that the caller sends. Either this or key_file is required.'),
    key_file: text().optional().describe('A file that holds the key, such as /run/secrets/web.'),
    tenant: text().nullable().default(null).describe('The tenant that the caller belongs to. null: default.'),
    role: choice(['caller', 'viewer', 'operator', 'admin'])
      .default('caller')
      .describe(
        'What the caller may do. caller: call models; viewer: also read reports; operator: also manage servers; admin: also manage keys.',
      ),
    models: z
      .array(modelName())
      .nullable()
      .default(null)
      .describe('The names or aliases of the models that the caller may use. null: all.'),
    max_priority: choice(['low', 'normal', 'high', 'critical'])
      .default('normal')
      .describe('The highest priority that the caller may ask for when requests wait for a server.'),
    limits: ownLimits.prefault({}).describe('Limits of this key, each in place of the same one in limits.per_client.'),
    cache: boolean()
      .default(true)
      .describe('Whether answers to the caller may be stored in the cache and shared with equal calls.'),
    budget: budget
      .nullable()
      .default(null)
      .describe('How much money the key may spend, such as { usd: 50, per: month }. null: no limit.'),
    expires: instant
      .nullable()
      .default(null)
      .describe(
        'The moment from which the key is refused, such as 2027-01-01 or 2027-01-01T12:00:00Z. null: it does not expire.',
      ),
    signing_secret: secret()
      .nullable()
      .default(null)
      .describe('The secret with which the caller must sign each request. null: requests need no signature.'),
    signing_secret_file: text().optional().describe('A file that holds the signing secret.'),
  })
  .transform(({ key, key_file: _, signing_secret_file: __, ...rest }, context) => {
    if (key !== undefined) return { ...rest, key }
    context.addIssue({ code: 'custom', path: ['key'], message: 'needs key or key_file' })
    return z.NEVER
  })

const asymmetric = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const
const symmetric = ['HS256', 'HS384', 'HS512'] as const

/** One text, or a list of them. */
function texts() {
  return z
    .union([text(), z.array(text())], { error: 'expected text, or a list' })
    .transform(value => (typeof value === 'string' ? [value] : value))
    .nullable()
    .transform(value => value ?? [])
    .default([])
}

const jwt = z
  .strictObject({
    issuer: texts().describe(
      'The issuers whose tokens are accepted, such as https://login.example.com: one, or a list. Empty: tokens are not accepted.',
    ),
    audience: texts().describe(
      'The audience that a token must name: one, or a list of which one is enough. Required with an issuer.',
    ),
    jwks_url: httpUrl()
      .nullable()
      .default(null)
      .describe('The address of the public keys of all issuers. null: each issuer is asked where its keys are.'),
    algorithms: z
      .array(z.enum([...asymmetric, ...symmetric]))
      .default([...asymmetric])
      .describe('The accepted signature algorithms. HS256, HS384 and HS512 need a secret.'),
    secret: secret()
      .nullable()
      .default(null)
      .describe('The secret that the algorithms HS256, HS384 and HS512 are checked with, 32 characters at least.'),
    secret_file: text().nullable().default(null).describe('A file that holds the secret.'),
    leeway: duration({ max: 60_000 })
      .default(30_000)
      .describe('By how much the clock of the issuer may differ from that of the gateway, 60s at most.'),
    roles_claim: text()
      .default('roles')
      .describe('The claim that holds the roles of the caller, by name or as a path such as realm_access.roles.'),
    roles: z
      .record(text(), choice(['caller', 'viewer', 'operator', 'admin']))
      .default({})
      .describe(
        'The role that each value of that claim stands for, such as { gateway-admins: admin }. Empty: the values are names of roles.',
      ),
    tenant_claim: text()
      .nullable()
      .default(null)
      .describe('The claim that holds the tenant; a token without it is then refused. null: no claim is read.'),
    models_claim: text()
      .nullable()
      .default(null)
      .describe(
        'The claim that lists the models the caller may use; a token without it may then use none. null: no claim is read.',
      ),
    limits_claim: text()
      .default('limits')
      .describe('The claim that holds limits of the caller, such as { "requests_per_minute": 60 }.'),
  })
  .prefault({})
  .transform(({ secret_file: _, ...rest }) => rest)

export const auth = z
  .strictObject({
    mode: choice(['none', 'optional', 'required', 'auto'])
      .default('auto')
      .describe('Whether callers need a key. auto: as none until there is a key, then as required.'),
    keys: z.array(key).default([]).describe('Keys that are defined here; others can be made at run time.'),
    admin_keys: z.array(ownKey()).default([]).describe('Keys with the role admin, which may manage the gateway.'),
    stale: duration()
      .default(60_000)
      .describe('How long a key from the database keeps working while the database cannot be reached.'),
    failures_per_minute: integer()
      .default(20)
      .describe('How many wrong keys an address may send per minute before it has to wait; 0: any number.'),
    jwt: jwt.describe('Which tokens of identity providers are accepted in place of keys.'),
  })
  .prefault({})
  .describe('Who may call the gateway.')
