import { GatewayError } from '#core/errors.ts'
import { didYouMean } from '#lib/closest.ts'
import type { GatewayContext } from './exchange.ts'

/** Reads one value of the query, the first where a name stands in it twice; `null` when it is absent. */
export function queryParam(c: GatewayContext, name: string): string | null {
  const value = URL.parse(c.env.request.url)?.searchParams.get(name) ?? null
  return value === null ? null : askable(value)
}

/** Refuses a query with other names than these: what a misspelt filter lets through would look like the answer, and what
 * it does not spare would be changed.
 *
 * @throws GatewayError `invalid_request` that names the first one. */
export function onlyParams(c: GatewayContext, ...names: readonly string[]): void {
  const unknown = [...(URL.parse(c.env.request.url)?.searchParams.keys() ?? [])].find(name => !names.includes(name))
  if (unknown === undefined) return
  const may =
    names.length === 0 ? '; nothing is taken from the query here.' : `; the query may have ${names.join(', ')}.`
  const hint = didYouMean(unknown, names) || may
  throw new GatewayError('invalid_request', `Unknown parameter "${askable(unknown)}"${hint}`, { param: unknown })
}

/** Reads how much a page is to hold.
 *
 * @throws GatewayError `invalid_request` for what is no number from 1 to `most`. */
export function limitParam(c: GatewayContext, { usual, most }: { readonly usual: number; readonly most: number }) {
  const written = queryParam(c, 'limit')
  if (written === null) return usual
  const limit = /^\d+$/.test(written) ? Number(written) : 0
  if (limit >= 1 && limit <= most) return limit
  throw new GatewayError('invalid_request', `limit must be an integer from 1 to ${most}.`, { param: 'limit' })
}

/** Reads the id in a path. */
export function idParam(c: GatewayContext): string {
  return askable(c.req.param('id') ?? '')
}

/** Nothing is called by a NUL, and Postgres refuses the question. */
function askable(text: string): string {
  return text.replaceAll('\0', '\ufffd')
}
