import { z } from 'zod'
import { isDay } from '#lib/calendar.ts'
import { refuseIdleBurst } from '#wire/keys.ts'
import { perClass } from './gateway.ts'
import { INSTANT, looksLike } from './patterns.ts'
import { boolean, choice, duration, httpUrl, integer, modelName, number, ownKey, secret, text } from './scalars.ts'

const rate = () => integer()

const limitKeys = {
  requests_per_minute: rate().default(0).describe('0: no limit.'),
  requests_per_hour: rate().default(0).describe('0: no limit.'),
  requests_per_day: rate().default(0).describe('0: no limit.'),
  tokens_per_minute: rate().default(0).describe('0: no limit.'),
  tokens_per_hour: rate().default(0).describe('0: no limit.'),
  tokens_per_day: rate().default(0).describe('0: no limit.'),
  concurrent_requests: rate().default(0).describe('Requests at once; 0: no limit.'),
  burst: integer({ min: 1 })
    .nullable()
    .default(null)
    .describe('Requests that may come at once; the limit when absent.'),
}

const limitSet = z.strictObject(limitKeys).superRefine(refuseIdleBurst)

const ownRate = (what: string) => rate().nullable().default(null).describe(what)
const usual = 'As for every client when absent; 0: no limit.'

// In a key, a limit that is absent is the one of every client, while 0 means no limit.
const ownLimits = z
  .strictObject({
    requests_per_minute: ownRate(usual),
    requests_per_hour: ownRate(usual),
    requests_per_day: ownRate(usual),
    tokens_per_minute: ownRate(usual),
    tokens_per_hour: ownRate(usual),
    tokens_per_day: ownRate(usual),
    concurrent_requests: ownRate(usual),
    burst: limitKeys.burst,
  })
  .superRefine(refuseIdleBurst)

// The default burst belongs to the default limit: with another limit and no burst, the burst is that limit.
const globalLimits = z
  .strictObject({ ...limitKeys, requests_per_minute: rate().optional().describe('1000 when absent; 0: no limit.') })
  .superRefine(refuseIdleBurst)
  .prefault({})
  .transform(({ requests_per_minute, burst, ...others }) => ({
    ...others,
    requests_per_minute: requests_per_minute ?? 1000,
    burst: burst ?? (requests_per_minute === undefined ? 100 : null),
  }))

const clientLimits = z
  .strictObject({ ...limitKeys, requests_per_minute: rate().default(100).describe('0: no limit.') })
  .superRefine(refuseIdleBurst)
  .prefault({})

export const limits = z
  .strictObject({
    enabled: boolean().default(true).describe('false admits everything.'),
    global: globalLimits.describe('Over all callers; the usual 1000 a minute have a burst of 100.'),
    per_client: clientLimits.describe('For each caller.'),
    per_tenant: z
      .record(text(), limitSet)
      .default({})
      .describe('For each tenant by its name, all its keys together; * for the others.'),
    per_user: limitSet.prefault({}).describe('For each end user of a key, as the request names it.'),
    per_address: limitSet.prefault({}).describe('For each client address, with and without a key.'),
    per_model: z.record(modelName(), limitSet).default({}).describe('For each model by its public name.'),
    per_class: perClass(limitSet).describe('For each class of models.'),
    store_down: choice(['local', 'closed']).default('local').describe('What holds while the shared store is away.'),
    processes: integer({ min: 1 }).default(1).describe('The least number of processes that share the limits.'),
  })
  .prefault({})
  .describe('How much may be asked.')

// The same bound as for keys made at run time. In billionths of a dollar, 64 bits hold only about nine times as much.
const budget = z.strictObject({
  usd: number({ min: 0, max: 1_000_000_000 }).describe('How much may be spent.'),
  per: choice(['day', 'month']).default('month').describe('In which time.'),
})

export const budgets = z
  .strictObject({
    per_tenant: z
      .record(z.string().regex(/^(\*|[\w.:@-]{1,128})$/, 'expected the name of a tenant, or *'), budget)
      .default({})
      .describe('For each tenant by its name, all its keys together; * for the others.'),
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
    name: text().describe("The caller's name in logs and metrics."),
    key: ownKey().optional().describe('The key itself.'),
    key_file: text().optional().describe('A file that holds the key.'),
    tenant: text().nullable().default(null).describe('The tenant that the caller belongs to.'),
    role: choice(['caller', 'viewer', 'operator', 'admin']).default('caller').describe('What it may do.'),
    models: z.array(modelName()).nullable().default(null).describe('The models it may use; null for all.'),
    max_priority: choice(['low', 'normal', 'high', 'critical'])
      .default('normal')
      .describe('The best place in a queue.'),
    limits: ownLimits.prefault({}).describe('Its own limits.'),
    cache: boolean().default(true).describe('Whether its answers may be stored and shared.'),
    budget: budget.nullable().default(null).describe('Its own budget.'),
    expires: instant.nullable().default(null).describe('The moment from which it is refused.'),
    signing_secret: secret().nullable().default(null).describe('Its requests must be signed with this.'),
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
    issuer: texts().describe('Who may have signed a token; one, or a list.'),
    audience: texts().describe('Whom a token must be meant for; one of these.'),
    jwks_url: httpUrl().nullable().default(null).describe('Where the public keys are; null: the issuer says.'),
    algorithms: z
      .array(z.enum([...asymmetric, ...symmetric]))
      .default([...asymmetric])
      .describe('How a token may be signed.'),
    secret: secret().nullable().default(null).describe('What HS256, HS384 and HS512 are checked with.'),
    secret_file: text().nullable().default(null).describe('A file that holds the secret.'),
    leeway: duration({ max: 60_000 }).default(30_000).describe('How far clocks may differ.'),
    roles_claim: text().default('roles').describe('The claim that holds the roles.'),
    roles: z
      .record(text(), choice(['caller', 'viewer', 'operator', 'admin']))
      .default({})
      .describe('What each value of that claim means; empty: the values are role names.'),
    tenant_claim: text().nullable().default(null).describe('The claim that holds the tenant.'),
    models_claim: text().nullable().default(null).describe('The claim that holds the models it may use.'),
    limits_claim: text().default('limits').describe('The claim that holds limits of its own.'),
  })
  .prefault({})
  .transform(({ secret_file: _, ...rest }) => rest)

export const auth = z
  .strictObject({
    mode: choice(['none', 'optional', 'required', 'auto']).default('auto').describe('Whether callers need a key.'),
    keys: z.array(key).default([]).describe('Keys written here rather than made at run time.'),
    admin_keys: z.array(ownKey()).default([]).describe('Keys with the role `admin`.'),
    stale: duration().default(60_000).describe('How long a known key keeps working while the database is away.'),
    failures_per_minute: integer()
      .default(20)
      .describe('Wrong keys that an address may send before it has to wait; 0 for any number.'),
    jwt: jwt.describe('Tokens of an identity provider.'),
  })
  .prefault({})
  .describe('Who may call.')
