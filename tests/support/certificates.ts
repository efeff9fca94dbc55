import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Certificates of an authority that exists for one test. */
export interface Certificates {
  /** The authority's own certificate, a file. */
  readonly ca: string
  /** Makes a certificate for this machine under a name; gives its files. */
  issue(name: string): Promise<{ readonly cert: string; readonly key: string }>
  [Symbol.asyncDispose](): Promise<void>
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** Makes an authority in a folder of its own. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-tls-'))
  const file = (name: string) => join(folder, name)
  await openssl(['req', '-x509', ...CURVE, '-days', '2', '-subj', '/CN=authority'], file('ca'))
  return {
    ca: file('ca.pem'),
    async issue(name) {
      const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
      const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-addext', names]
      await openssl(['req', '-x509', ...CURVE, '-days', '1', '-subj', `/CN=${name}`, ...signed], file(name))
      return { cert: file(`${name}.pem`), key: file(`${name}.key`) }
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function openssl(args: readonly string[], to: string): Promise<void> {
  const child = Bun.spawn(['openssl', ...args, '-keyout', `${to}.key`, '-out', `${to}.pem`], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const said = await new Response(child.stderr).text()
  if ((await child.exited) !== 0) throw new Error(`openssl failed: ${said}`)
}
