import type { GatewayContext } from './exchange.ts'

/** Reads one value of the query, the first where a name stands in it twice; `null` when it is absent. */
export function queryParam(c: GatewayContext, name: string): string | null {
  return URL.parse(c.env.request.url)?.searchParams.get(name) ?? null
}
