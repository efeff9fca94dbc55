import { z } from 'zod'
import { type Detail, GatewayError } from '#core/errors.ts'
import { parseBody } from '#gateway/parse.ts'
import { didYouMean } from '#lib/closest.ts'
import { readBody } from './body.ts'
import type { GatewayContext } from './exchange.ts'
import type { Services } from './services.ts'

/** Reads the body of a request and checks it; an empty one is what the schema makes of nothing.
 *
 * @throws GatewayError `invalid_json`, `invalid_request` with every problem, and what reading it throws. */
export async function bodyOf<T extends z.ZodType>(
  c: GatewayContext,
  { clock }: Pick<Services, 'clock'>,
  schema: T,
): Promise<z.output<T>> {
  const text = await readBody(c.env, clock)
  return checked(text === '' ? undefined : parseBody(text), schema)
}

/** The most unknown fields of an object that are told: each is compared with all names that the object may have. */
const UNKNOWN_MAX = 10

/** Checks a value that somebody has sent.
 *
 * @throws GatewayError `invalid_request` with every problem. */
function checked<T extends z.ZodType>(value: unknown, schema: T): z.output<T> {
  const parsed = schema.safeParse(value, { error: word })
  if (parsed.success) return parsed.data
  const details = parsed.error.issues.flatMap(detailsOf)
  const [first] = details
  const where = first?.path ? `${first.path}: ` : ''
  const end = first?.message.endsWith('?') ? '' : '.'
  throw new GatewayError('invalid_request', `${where}${first?.message}${end}`, { param: first?.path || null, details })
}

/** Words what is absent, and keeps which fields an object may have in place of a message: later the issue no longer says
 * so. */
function word(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type' && issue.input === undefined) {
    return issue.path?.length ? 'is required' : 'A request body is required, as JSON'
  }
  if (issue.code !== 'unrecognized_keys' || !(issue.inst instanceof z.ZodObject)) return undefined
  return Object.keys(issue.inst.shape).join(' ')
}

function detailsOf(issue: z.core.$ZodIssue): readonly Detail[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: issue.path.join('.'), message: issue.message }]
  const known = issue.message.split(' ')
  return issue.keys.slice(0, UNKNOWN_MAX).map(key => {
    const hint = didYouMean(key, known) || `; there may be ${known.join(', ')}`
    return { path: [...issue.path, key].join('.'), message: `unknown field${hint}` }
  })
}
