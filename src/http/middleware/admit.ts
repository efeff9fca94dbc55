import { GatewayError } from '#core/errors.ts'
import type { Edge } from '../edge.ts'
import type { Middleware } from '../exchange.ts'

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const READING = new Set(['GET', 'HEAD', 'OPTIONS'])
const HOST = /^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/
const LOOPBACK = /^(?:localhost|(?:[A-Za-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** Refuses requests before anything else looks at them: from a client address that is not allowed
 * (`client_not_allowed`), without exactly one valid `Host` (`invalid_host`), with an unknown method
 * (`method_not_allowed`), or, unless they only read, from a page of another origin that `cors.origins` does not name
 * (`origin_not_allowed`).
 *
 * The origin is checked because browsers send a simple POST to another origin without a preflight: any web page could
 * use a local GPU. On a loopback address the `Host` must name this machine, against DNS rebinding: a page could let its
 * own domain resolve to 127.0.0.1. */
export function admit(): Middleware {
  // The last host that passed the check: nearly all requests have the same one, and where a gateway listens is settled
  // when it starts.
  let known: string | null = null

  return function admit(c, next) {
    const { request, edge, record } = c.env
    const forwarded = request.headers.get('x-forwarded-for')
    // On a dual-stack socket the address of an IPv4 client is `::ffff:1.2.3.4`.
    if (forwarded !== null || record.address.startsWith('::f'))
      record.address = edge.clientAddress(record.address, forwarded)
    if (!edge.admits(record.address)) {
      throw new GatewayError('client_not_allowed', 'Clients of this address may not use the gateway.')
    }
    const host = hostOf(request)
    if (host === null || host !== known) {
      checkHost(host, edge)
      known = host
    }
    if (!METHODS.has(request.method)) {
      throw new GatewayError('method_not_allowed', 'This method is not allowed.', {
        headers: { allow: [...METHODS].join(', ') },
      })
    }
    const origin = request.headers.get('origin')
    if (origin !== null && !READING.has(request.method) && !isOwn(origin, host) && !edge.originAllowed(origin)) {
      throw new GatewayError(
        'origin_not_allowed',
        'Pages of this origin may not call the gateway; add the origin to cors.origins.',
      )
    }
    return next()
  }
}

/** @throws GatewayError `invalid_host`. */
function checkHost(host: string | null, { loopbackOnly }: Edge): asserts host is string {
  if (host === null || !HOST.test(host)) {
    throw new GatewayError('invalid_host', 'The request needs exactly one valid Host header.')
  }
  if (loopbackOnly && !LOOPBACK.test(host)) {
    throw new GatewayError(
      'invalid_host',
      'This gateway listens on a loopback address and answers only to localhost; for other names, such as host.docker.internal, let it listen on another address (service.host).',
    )
  }
}

/** The host of a request: its `Host` header, or the URL's host for a `Request` that was made in code and has no header. */
export function hostOf(request: Request): string | null {
  return request.headers.get('host') ?? URL.parse(request.url)?.host ?? null
}

/** Whether a page was served by this gateway itself. */
export function isOwn(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`
}
