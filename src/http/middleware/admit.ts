import { GatewayError } from '#core/errors.ts'
import type { Edge } from '../edge.ts'
import type { Middleware } from '../exchange.ts'

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const READING = new Set(['GET', 'HEAD', 'OPTIONS'])
const HOST = /^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/
const LOOPBACK = /^(?:localhost|(?:[A-Za-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** Lets in what may be looked at at all: a client whose address may come, a known method, exactly one valid `Host`, and no foreign page's writing.
 *
 * A page on another origin can send a plain POST without asking first; were it let in, any page could spend a local
 * GPU. On a loopback address the `Host` must name this machine, or a page could point its own name here. */
export function admit(): Middleware {
  // The last host that was right, and for which settings: nearly all requests are for the same.
  let known: string | null = null
  let knownFor: Edge | null = null

  return function admit(c, next) {
    const { request, edge, record } = c.env
    const forwarded = request.headers.get('x-forwarded-for')
    // Who listens to both families hears of IPv4 clients as `::ffff:1.2.3.4`.
    if (forwarded !== null || record.address.startsWith('::f'))
      record.address = edge.clientAddress(record.address, forwarded)
    if (!edge.admits(record.address)) {
      throw new GatewayError('client_not_allowed', 'Clients of this address may not use the gateway.')
    }
    const host = hostOf(request)
    if (host === null || host !== known || edge !== knownFor) {
      checkHost(host, edge)
      known = host
      knownFor = edge
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
    throw new GatewayError('invalid_host', 'This gateway listens on a loopback address and answers only to localhost.')
  }
}

/** The host that a request is for: its header's, or the URL's where it was made in code and never was on a socket. */
export function hostOf(request: Request): string | null {
  return request.headers.get('host') ?? URL.parse(request.url)?.host ?? null
}

/** Whether a page was served by this gateway itself. */
export function isOwn(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`
}
