import type { TLSOptions } from 'bun'
import type { Origin } from './place.ts'

/** What a transport trusts beyond the runtime's list of authorities. */
export interface Trust {
  /** Certificates of authorities, as PEM; they take the place of the runtime's. */
  readonly ca?: string
}

/** The one protocol that is spoken, as ALPN writes it: each name behind its length. */
const ALPN = Buffer.from('\x08http/1.1')

/** What TLS to an origin is asked for: a certificate that holds for the name, and HTTP/1.1. */
export function tlsFor({ hostname }: Origin, { ca }: Trust): TLSOptions {
  return { serverName: hostname, rejectUnauthorized: true, ALPNProtocols: ALPN, ...(ca !== undefined && { ca }) }
}
