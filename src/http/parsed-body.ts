import type { z } from 'zod'
import { GatewayError } from '#core/errors.ts'
import { parseBody } from '#gateway/parse.ts'
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

/** Checks a value that somebody has sent.
 *
 * @throws GatewayError `invalid_request` with every problem. */
function checked<T extends z.ZodType>(value: unknown, schema: T): z.output<T> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const details = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
  const [first] = details
  const where = first?.path ? `${first.path}: ` : ''
  throw new GatewayError('invalid_request', `${where}${first?.message}.`, { param: first?.path || null, details })
}
