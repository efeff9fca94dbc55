import { connectionFailed } from './errors.ts'

/** Where requests to one origin go; equal for all its addresses. */
export interface Origin {
  readonly key: string
  readonly secure: boolean
  readonly hostname: string
  readonly port: number
  /** As the `Host` header has it. */
  readonly host: string
}

/** An address, split once. */
export interface Place {
  readonly origin: Origin
  /** Path and query as the request line has them. */
  readonly target: string
}

/** Splits an address.
 *
 * @throws GatewayError `upstream_error` for one that is no plain HTTP address: another scheme, or with credentials. */
export function placeOf(address: string): Place {
  const url = URL.parse(address)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw connectionFailed('unusable', new Error('the address is neither http nor https'))
  }
  if (url.username !== '' || url.password !== '') {
    throw connectionFailed('unusable', new Error('the address has credentials in it'))
  }
  const secure = url.protocol === 'https:'
  const origin: Origin = {
    key: url.origin,
    secure,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (secure ? 443 : 80)),
    host: url.host,
  }
  return { origin, target: `${url.pathname}${url.search}` }
}
