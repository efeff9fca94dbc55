import { GatewayError } from '#core/errors.ts'
import type { Exchange, Middleware } from '../exchange.ts'
import { hostOf, isOwn } from './admit.ts'

const PREFLIGHT_SECONDS = '86400'
const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'
const EXPOSED =
  'x-request-id, retry-after, retry-after-ms, x-should-retry, x-ratelimit-limit-requests, ' +
  'x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, ' +
  'x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, x-citadel-model, x-citadel-server, ' +
  'x-citadel-attempts, x-citadel-dropped-parameters, x-citadel-cache, x-citadel-overhead-ms, x-citadel-cost, ' +
  'x-citadel-gateway, x-citadel-next, x-citadel-note, server-timing, cache-status, age, idempotency-replayed'

/** Answers CORS preflights, and adds the CORS headers to answers for pages of allowed origins.
 *
 * A preflight allows whatever headers it asks for: SDKs add new ones every year, and a fixed list would break them.
 *
 * @throws GatewayError `origin_not_allowed` for a preflight from another origin. */
export function cors(): Middleware {
  return function cors(c, next) {
    const exchange = c.env
    const origin = exchange.request.headers.get('origin')
    if (origin === null) return next()
    exchange.headers.vary = 'Origin'
    const host = hostOf(exchange.request) ?? ''
    const allowed = isOwn(origin, host) || exchange.edge.originAllowed(origin)
    if (allowed) allow(exchange, origin)
    if (exchange.request.method !== 'OPTIONS') return next()
    if (!allowed) {
      throw new GatewayError(
        'origin_not_allowed',
        'Pages of this origin may not call the gateway; add the origin to cors.origins.',
      )
    }
    return Promise.resolve(preflight(exchange))
  }
}

function allow({ headers, edge }: Exchange, origin: string): void {
  headers['access-control-allow-origin'] = origin
  headers['access-control-expose-headers'] = EXPOSED
  if (edge.corsCredentials) headers['access-control-allow-credentials'] = 'true'
}

function preflight({ request, headers }: Exchange): Response {
  const requested = request.headers.get('access-control-request-headers')
  if (requested !== null) headers['access-control-allow-headers'] = requested
  headers['access-control-allow-methods'] = METHODS
  headers['access-control-max-age'] = PREFLIGHT_SECONDS
  headers.vary = 'Origin, Access-Control-Request-Headers'
  if (request.headers.get('access-control-request-private-network') === 'true') {
    headers['access-control-allow-private-network'] = 'true'
  }
  return new Response(null, { status: 204, headers })
}
