import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Certificates of an authority that exists for one test. */
export interface Certificates {
  /** The authority's own certificate, a file. */
  readonly ca: string
  /** Makes a certificate for this machine under a name; gives its files.
   *
   * @param days How long it is good (default 1); -1 for one that was good until yesterday.
   * @param hosts What it is for (default `localhost` and 127.0.0.1). */
  issue(name: string, days?: number, hosts?: string): Promise<{ readonly cert: string; readonly key: string }>
  [Symbol.asyncDispose](): Promise<void>
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** Makes an authority in a folder of its own. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-tls-'))
  const file = (name: string) => join(folder, name)
  const authority = ['-out', file('ca.pem'), '-keyout', file('ca.key')]
  await openssl(['req', '-x509', ...CURVE, '-days', '2', '-subj', '/CN=authority', ...authority])
  return {
    ca: file('ca.pem'),
    async issue(name, days = 1, hosts = 'DNS:localhost,IP:127.0.0.1') {
      const [request, cert, key] = [file(`${name}.csr`), file(`${name}.pem`), file(`${name}.key`)]
      const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${hosts}`]
      await openssl(['req', ...CURVE, ...names, '-keyout', key, '-out', request])
      const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-copy_extensions', 'copyall']
      await openssl(['x509', '-req', '-in', request, ...signed, '-days', `${days}`, '-out', cert])
      return { cert, key }
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function openssl(args: readonly string[]): Promise<void> {
  const child = Bun.spawn(['openssl', ...args], { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' })
  const said = await new Response(child.stderr).text()
  if ((await child.exited) !== 0) throw new Error(`openssl failed: ${said}`)
}
