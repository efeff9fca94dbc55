import { z } from 'zod'

/** How long a key may be. */
export const KEY_CHARACTERS_MAX = 512
/** The characters of a bearer token (RFC 6750 §2.1) and the few more that keys in use have. */
export const KEY = /^[\x21-\x2b\x2d-\x7e]+$/

const NAME = /^[^\p{Cc}]{1,100}$/u
const amount = z.int().min(0).max(1_000_000_000_000)

/** The limits that a caller may have of its own. */
export const LIMITS = [
  'requests_per_minute',
  'requests_per_hour',
  'requests_per_day',
  'tokens_per_minute',
  'tokens_per_hour',
  'tokens_per_day',
  'concurrent_requests',
] as const

const ownAmount = amount.nullable().describe('null: what holds for every client; 0: no limit.')
const ownBurst = amount
  .min(1)
  .nullable()
  .describe('Requests that may come at once, of the shortest period that is limited; null: the limit.')
const unsaid = Object.fromEntries(LIMITS.map(name => [name, ownAmount.default(null)])) as Record<
  (typeof LIMITS)[number],
  z.ZodDefault<typeof ownAmount>
>
const kept = Object.fromEntries(LIMITS.map(name => [name, ownAmount.optional()])) as Record<
  (typeof LIMITS)[number],
  z.ZodOptional<typeof ownAmount>
>

const name = z
  .string()
  // No pattern: a JSON Schema has no place for the flag that this one needs.
  .refine(value => NAME.test(value), 'expected 1 to 100 characters, none of them a control character')
  .describe('How people call the key: 1 to 100 characters, none of them a control character.')
const role = z.enum(['caller', 'viewer', 'operator', 'admin'])
const models = z.array(z.string().min(1).max(200)).max(1000).nullable()
const priority = z.enum(['low', 'normal', 'high', 'critical'])
const budget = z
  .strictObject({ usd: z.number().min(0).max(1_000_000_000), per: z.enum(['day', 'month']).default('month') })
  .nullable()
const instant = z.iso.datetime({ offset: true }).nullable()

/** The name of a tenant: what may have a budget, so that those of tokens can be asked about, which are often addresses. */
export const tenantName = z
  .string()
  .regex(/^[\w.:@-]{1,128}$/, 'a tenant must be 1 to 128 letters, digits, or of . : @ - _')

interface WithBurst {
  readonly requests_per_minute?: number | null | undefined
  readonly requests_per_hour?: number | null | undefined
  readonly requests_per_day?: number | null | undefined
  readonly burst?: number | null | undefined
}

/** What is said of a burst beside no limit of requests: it would look like a limit, and be none. */
export const IDLE_BURST = 'has no effect without requests_per_minute, requests_per_hour or requests_per_day'

/** Whether there is a burst, and no limit of requests that it could belong to. */
export function hasIdleBurst({ requests_per_minute, requests_per_hour, requests_per_day, burst }: WithBurst): boolean {
  return burst != null && requests_per_minute === 0 && !requests_per_hour && !requests_per_day
}

/** Complains about such a burst. */
export function refuseIdleBurst(limits: WithBurst, context: z.RefinementCtx): void {
  if (hasIdleBurst(limits)) context.addIssue({ code: 'custom', path: ['burst'], message: IDLE_BURST })
}

/** What a key is allowed besides its role; a limit of null is what holds for every client, 0 is no limit. Also the
 * shape in which it is stored. */
export const keySettings = z.object({
  models: models.default(null).describe('The public names that it may call; null for all.'),
  max_priority: priority.default('normal').describe('The best place in a queue that it may ask for.'),
  limits: z
    .strictObject({ ...unsaid, burst: amount.nullable().default(null) })
    .prefault({})
    .describe('Its own limits; null: what holds for every client; 0: no limit.'),
  budget: budget.default(null).describe('What it may spend.'),
  cache: z.boolean().default(true).describe('Whether its answers may be stored and shared.'),
})

/** What is kept of a key beside: what its requests are signed with, sealed by its secret and by the one before. */
export const storedSettings = keySettings.extend({
  signing: z.string().nullable().default(null),
  previous_signing: z.string().nullable().default(null),
})
export type KeySettings = z.infer<typeof storedSettings>

/** The body that makes a key. */
export const keyCreation = z
  .strictObject({
    name,
    role: role.default('caller').describe('What it may do.'),
    ...keySettings.shape,
    limits: z
      .strictObject({ ...unsaid, burst: ownBurst.default(null) })
      .superRefine(refuseIdleBurst)
      .prefault({})
      .describe('Its own limits; null: what holds for every client; 0: no limit.'),
    signing: z.boolean().default(false).describe('Whether its requests must be signed; the answer has the secret.'),
    expires_at: instant.default(null).describe('From when on it is refused; null for never.'),
  })
  .describe('A new key.')
export type KeyCreation = z.infer<typeof keyCreation>

/** The body that changes a key; what is absent stays as it is. */
export const keyPatch = z
  .strictObject({
    name: name.optional(),
    role: role.optional(),
    models: models.optional(),
    max_priority: priority.optional(),
    limits: z
      .strictObject({ ...kept, burst: ownBurst.optional() })
      .superRefine(refuseIdleBurst)
      .optional(),
    budget: budget.optional(),
    cache: z.boolean().optional(),
    expires_at: instant.optional(),
  })
  .describe('Changes to a key.')
export type KeyPatch = z.infer<typeof keyPatch>

/** How long two secrets of a key may be good beside each other. */
export const OVERLAP_SECONDS_MAX = 30 * 86_400

/** The body that rotates a key. */
export const keyRotation = z
  .strictObject({
    overlap_seconds: z
      .int()
      .min(0)
      .max(OVERLAP_SECONDS_MAX)
      .default(86_400)
      .describe('How long the old secret is still good.'),
  })
  .prefault({})
  .describe('How to change to a new secret.')

const time = z.iso.datetime()

/** A key as it is shown: never its secret, nor what that is looked up by. */
export const keyView = z.object({
  id: z.string(),
  object: z.literal('key'),
  tenant: z.string(),
  name: z.string(),
  prefix: z.string().describe('The first characters of the key, to tell it from others.'),
  role,
  status: z.enum(['active', 'expired', 'revoked']),
  ...keySettings.shape,
  signing: z.boolean().describe('Whether its requests must be signed.'),
  origin: z.enum(['created', 'first_start']),
  created_by: z.string().describe('The id of the key that made it; `cli` for the command.'),
  created_at: time,
  expires_at: time.nullable(),
  rotated_at: time.nullable(),
  previous_until: time.nullable().describe('Until when the secret before the last rotation is good.'),
  revoked_at: time.nullable(),
})
export type KeyView = z.infer<typeof keyView>

/** A key at the only moment at which its secret is shown. */
export const keyWithSecret = keyView.extend({
  key: z.string().describe('The key itself, shown this once.'),
  signing_secret: z.string().nullable().describe('What its requests must be signed with, shown this once.'),
})

/** A page of keys. */
export const keyList = z.object({ data: z.array(keyView), next: z.string().nullable() })
