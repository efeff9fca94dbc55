import type { BunFile, TLSOptions } from 'bun'
import type { Origin } from './place.ts'

/** What a transport trusts beyond the runtime's list of authorities, and how it proves who it is. PEM, or files of it,
 * which are read for each connection: a certificate may be renewed while the process runs. */
export interface Trust {
  /** Certificates of authorities; they take the place of the runtime's. */
  readonly ca?: string | BunFile | undefined
  readonly cert?: string | BunFile | undefined
  readonly key?: string | BunFile | undefined
  /** The name that the certificate has to hold for, where it is not the one that is dialled. */
  readonly serverName?: string | undefined
}

/** The same by the paths of files; `null` = as usual. */
export interface TlsFiles {
  readonly ca_file: string | null
  readonly cert_file: string | null
  readonly key_file: string | null
  readonly server_name: string | null
}

/** Names the files that connections are secured with. */
export function trustOf({ ca_file, cert_file, key_file, server_name }: TlsFiles): Trust {
  const file = (path: string | null) => (path === null ? undefined : Bun.file(path))
  return { ca: file(ca_file), cert: file(cert_file), key: file(key_file), serverName: server_name ?? undefined }
}

/** The one protocol that is spoken, as ALPN writes it: each name behind its length. */
const ALPN = Buffer.from('\x08http/1.1')

/** What TLS to an origin is asked for: a certificate that holds for the name, and HTTP/1.1. */
export function tlsFor({ hostname }: Origin, { ca, cert, key, serverName }: Trust): TLSOptions {
  return {
    serverName: serverName ?? hostname,
    rejectUnauthorized: true,
    ALPNProtocols: ALPN,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  }
}
