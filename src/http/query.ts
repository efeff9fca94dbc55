import type { GatewayContext } from './exchange.ts'

/** Reads one value of the query, the first where a name stands in it twice; `null` when it is absent. */
export function queryParam(c: GatewayContext, name: string): string | null {
  const value = URL.parse(c.env.request.url)?.searchParams.get(name) ?? null
  return value === null ? null : askable(value)
}

/** Reads the id in a path. */
export function idParam(c: GatewayContext): string {
  return askable(c.req.param('id') ?? '')
}

/** Nothing is called by a NUL, and Postgres refuses the question. */
function askable(text: string): string {
  return text.replaceAll('\0', '\ufffd')
}
