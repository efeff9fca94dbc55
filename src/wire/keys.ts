import { z } from 'zod'

/** How long a key may be. */
export const KEY_CHARACTERS_MAX = 512
/** The characters of a bearer token (RFC 6750 §2.1) and the few more that keys in use have. */
export const KEY = /^[\x21-\x2b\x2d-\x7e]+$/

/** Something to see, and no character that would show one name as another: control characters, line and paragraph
 * separators, marks that turn the direction of what follows, and those that nobody sees, letters (U+3164) and patterns
 * (U+2800) among them. Languages and emoji are written with joiners, selectors and tags, which are let through where they
 * do something: beside other than ASCII (Persian has endings behind Latin words), in a keycap and in a flag. Half a
 * character, of a pair that was cut, has no bytes: databases keep something else in its place. */
const NAME =
  /^(?=.{1,100}$)(?=.*[^\s\p{DI}])(?:[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{DI}\u2800]|(?<=\P{ASCII})[\p{Join_C}\p{VS}]|\p{Join_C}(?=[^\p{ASCII}\p{DI}])|[#*0-9]\ufe0f\u20e3|\u{1f3f4}[\u{e0061}-\u{e007a}]+\u{e007f})+$/u
/** What the name of a key has to be. */
export const NAME_EXPECTED = '1 to 100 characters, none of them invisible or a control character'
const amount = z.int().min(0).max(1_000_000_000_000)

/** What a caller with a credential may do, each what those before it may, and more. */
export const ROLES = ['caller', 'viewer', 'operator', 'admin'] as const

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
export type LimitName = (typeof LIMITS)[number]

/** Makes the same for each of these limits, such as its field in a schema. */
export function eachLimit<T>(make: (name: LimitName) => T): Record<LimitName, T> {
  return Object.fromEntries(LIMITS.map(name => [name, make(name)])) as Record<LimitName, T>
}

const ownAmount = amount
  .nullable()
  .describe('null: the limit that `limits.per_client` sets for every caller; 0: no limit.')
const ownBurst = amount
  .min(1)
  .nullable()
  .describe(
    'How many requests may arrive at the same moment. It applies to the shortest period with a limit; null: as many as that limit.',
  )
const unsaid = eachLimit(() => ownAmount.default(null))
const kept = eachLimit(() => ownAmount.optional())

const name = z
  .string()
  // No pattern: a JSON Schema has no place for the flag that this one needs.
  .refine(value => NAME.test(value), `expected ${NAME_EXPECTED}`)
  .describe(`The name of the key for people, such as \`web\`: ${NAME_EXPECTED}.`)
const role = z.enum(ROLES)
const models = z.array(z.string().min(1).max(200)).max(1000).nullable()
const priority = z.enum(['low', 'normal', 'high', 'critical'])
const budget = z
  .strictObject({ usd: z.number().min(0).max(1_000_000_000), per: z.enum(['day', 'month']).default('month') })
  .nullable()
/** The first moment that has a year of four digits, and the first that has not. */
const [EARLIEST, TOO_LATE] = [Date.parse('0000-01-01T00:00:00Z'), Date.UTC(10_000, 0)]
const instant = z.iso
  .datetime({ offset: true })
  // An offset may put a moment beyond them, which no client could read in the answers.
  .refine(
    text => !(Date.parse(text) < EARLIEST || Date.parse(text) >= TOO_LATE),
    'expected a moment of the years 0 to 9999 in UTC',
  )
  .nullable()

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
const keySettings = z.object({
  models: models.default(null).describe('The public names of the models that the key may call; null: all.'),
  max_priority: priority
    .default('normal')
    .describe('The highest priority that the key may ask for when requests wait for a server.'),
  limits: z
    .strictObject({ ...unsaid, burst: amount.nullable().default(null) })
    .prefault({})
    .describe('Its own limits; null: what holds for every client; 0: no limit.'),
  budget: budget.default(null).describe('How many US dollars the key may spend per day or month; null: no limit.'),
  cache: z
    .boolean()
    .default(true)
    .describe('Whether answers to the key may be stored in the cache and shared with equal calls.'),
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
    role: role
      .default('caller')
      .describe(
        'What the key may do: `caller` calls models, `viewer` also reads reports, `operator` also manages servers, `admin` also manages keys.',
      ),
    ...keySettings.shape,
    limits: z
      .strictObject({ ...unsaid, burst: ownBurst.default(null) })
      .superRefine(refuseIdleBurst)
      .prefault({})
      .describe('Its own limits; null: what holds for every client; 0: no limit.'),
    signing: z
      .boolean()
      .default(false)
      .describe('Whether requests with the key must be signed. The answer then has the secret to sign with.'),
    expires_at: instant
      .default(null)
      .describe('The moment from which the key is refused, such as `2027-06-30T00:00:00Z`; null: it does not expire.'),
  })
  .describe('The settings of a new key.')
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
  .describe('The settings of a key that change; what is absent stays as it is.')
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
      .describe('How many seconds the old secret still works.'),
  })
  .prefault({})
  .describe('How the change to the new secret is made.')

const time = z.iso.datetime()

/** A key as it is shown: never its secret, nor what that is looked up by. */
export const keyView = z.object({
  id: z.string().describe('The id of the key; it stays the same when the key is rotated.'),
  object: z.literal('key'),
  tenant: z.string().describe('The tenant that the key belongs to.'),
  name: z.string().describe('The name of the key for people.'),
  prefix: z.string().describe('The first characters of the key, to tell it from others.'),
  role,
  status: z.enum(['active', 'expired', 'revoked']).describe('Whether the key works.'),
  ...keySettings.shape,
  signing: z.boolean().describe('Whether requests with the key must be signed.'),
  origin: z
    .enum(['created', 'first_start'])
    .describe('`created` by somebody, or made by the gateway at its `first_start`.'),
  created_by: z
    .string()
    .describe(
      'Who created the key: the id of another key, `cli` for the command, `first start` for the gateway itself.',
    ),
  created_at: time,
  expires_at: time.nullable().describe('The moment from which the key is refused; null: it does not expire.'),
  rotated_at: time.nullable().describe('When the key was last given another secret; null: never.'),
  previous_until: time.nullable().describe('Until when the secret before the last rotation works; null: it does not.'),
  revoked_at: time.nullable().describe('When the key was revoked; null: it is not.'),
})
export type KeyView = z.infer<typeof keyView>

/** A key at the only moment at which its secret is shown. */
export const keyWithSecret = keyView.extend({
  key: z.string().describe('The key itself. It is shown only in this answer.'),
  signing_secret: z
    .string()
    .nullable()
    .describe(
      'The secret with which requests must be signed; null: they need no signature. It is shown only in this answer.',
    ),
})

/** A page of keys. */
export const keyList = z.object({
  data: z.array(keyView),
  next: z.string().nullable().describe('The value of `after` for the next page; null on the last page.'),
})
