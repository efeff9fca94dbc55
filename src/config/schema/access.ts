import { z } from 'zod'
import { PRIORITIES } from '#core/priority.ts'
import { isDay } from '#lib/calendar.ts'
import { ROLES } from '#wire/keys.ts'
import { httpUrl } from './addresses.ts'
import { budget, ownLimits } from './limits.ts'
import { INSTANT, looksLike } from './patterns.ts'
import { boolean, choice, duration, integer, modelName, ownKey, secret, text } from './scalars.ts'

const moment = z.string().meta(looksLike(INSTANT))
const instant = moment.transform((value, context) => {
  const time = INSTANT.test(value) ? Date.parse(value) : Number.NaN
  if (!Number.isNaN(time) && isDay(value.slice(0, 10))) return time
  context.addIssue({ code: 'custom', message: 'expected a date such as 2027-01-01 or 2027-01-01T12:00:00Z' })
  return z.NEVER
})

const key = z
  .strictObject({
    name: text().describe("The caller's name in logs and reports, such as web."),
    key: ownKey().optional().describe('The key that the caller sends. Either this or key_file is required.'),
    key_file: text().optional().describe('A file that holds the key, such as /run/secrets/web.'),
    tenant: text().nullable().default(null).describe('The tenant that the caller belongs to. null: default.'),
    role: choice(ROLES)
      .default('caller')
      .describe(
        'What the caller may do. caller: call models; viewer: also read reports; operator: also manage servers; admin: also manage keys.',
      ),
    models: z
      .array(modelName())
      .nullable()
      .default(null)
      .describe('The names or aliases of the models that the caller may use. null: all.'),
    max_priority: choice(PRIORITIES)
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
      .record(text(), choice(ROLES))
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
