import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import type { Config } from '#config/schema.ts'
import type { Listener, Tls } from '#src/server.ts'

/** Reads and checks the certificate and key that https is served with.
 *
 * @throws TlsUnusable when a file is missing or has another content, or the key does not belong to the certificate. */
export function readTls(files: {
  readonly cert_file: string
  readonly key_file: string
  readonly ca_file: string | null
}): Tls {
  try {
    const tls = {
      cert: readFileSync(files.cert_file, 'utf8'),
      key: readFileSync(files.key_file, 'utf8'),
      ca: files.ca_file === null ? null : readFileSync(files.ca_file, 'utf8'),
    }
    check(files, tls)
    return tls
  } catch (thrown) {
    throw new TlsUnusable(files, thrown)
  }
}

/** Checks each file by itself, for an error that a person understands: the runtime's TLS library reports only numbers,
 * and treats an empty file as one that was not given.
 *
 * @throws Error with the reason. */
function check(files: { readonly cert_file: string; readonly key_file: string }, { cert, key, ca }: Tls): void {
  const first = parsed(() => new X509Certificate(cert), `${files.cert_file} holds no certificate in PEM`)
  const own = parsed(
    () => createPrivateKey(key),
    key.includes('ENCRYPTED')
      ? `${files.key_file} is encrypted: \`openssl pkey -in FILE -out OTHER\` writes it without its passphrase`
      : `${files.key_file} holds no key in PEM`,
  )
  if (!first.checkPrivateKey(own)) {
    throw new Error(`${files.key_file} is the key of another certificate than the first in ${files.cert_file}`)
  }
  if (ca !== null) parsed(() => new X509Certificate(ca), 'ca_file holds no certificate in PEM')
  createSecureContext({ cert, key, ...(ca !== null && { ca }) })
}

function parsed<T>(parse: () => T, complaint: string): T {
  try {
    return parse()
  } catch (thrown) {
    throw new Error(complaint, { cause: thrown })
  }
}

/** The files of `service.tls` cannot be used. */
export class TlsUnusable extends Error {
  constructor(files: { readonly cert_file: string; readonly key_file: string }, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause)
    super(`service.tls: ${files.cert_file} and ${files.key_file} cannot be used: ${why}`, { cause })
    this.name = 'TlsUnusable'
  }
}

/** The validity period of a certificate, in epoch milliseconds. */
export interface Validity {
  readonly from: number
  readonly until: number
}

/** Why clients will refuse the certificate: it has expired or is not valid yet; `null` when it is valid now. */
export function untimely({ from, until }: Validity, file: string, now: number): string | null {
  const day = (time: number) => new Date(time).toISOString()
  if (now > until) return `service.tls: ${file} expired on ${day(until)}: clients refuse it; renew it`
  return now < from ? `service.tls: ${file} is good only from ${day(from)}: clients refuse it until then` : null
}

function validityOf({ cert }: Tls): Validity {
  const { validFrom, validTo } = new X509Certificate(cert)
  return { from: Date.parse(validFrom), until: Date.parse(validTo) }
}

/** Takes over certificates that have changed, once they are known to be good.
 *
 * @param onShown Called with the first certificate of each file that clients are shown from now on.
 * @returns To be called with each new configuration; throws TlsUnusable when its files cannot be used, and CannotListen
 * when the port could not be opened with them: that is tried again the next time, with whichever there are. */
export function tlsRenewal(
  first: Config,
  listener: Pick<Listener, 'renew'>,
  onShown: (validity: Validity, file: string) => void = () => {},
): (next: Config) => void {
  const files = first.service.tls
  const encrypted = files !== null
  let current = files === null ? null : readTls(files)
  if (files !== null && current !== null) onShown(validityOf(current), files.cert_file)
  return ({ service: { tls } }) => {
    // Between http and https only a restart changes.
    if (!encrypted || tls === null) return
    const next = readTls(tls)
    if (isDeepStrictEqual(next, current)) return
    // Forgotten until the renewal has succeeded: after a failure the previous certificates may have to be set again,
    // too.
    current = null
    listener.renew(next)
    current = next
    onShown(validityOf(next), tls.cert_file)
  }
}

/** The files of a configuration whose change means other certificates. */
export function tlsFiles({ service: { tls } }: Config): readonly string[] {
  return tls === null ? [] : [tls.cert_file, tls.key_file, ...(tls.ca_file === null ? [] : [tls.ca_file])]
}
