import { fetchText, readKeys } from '#access/issuer.ts'
import type { Config } from '#config/schema.ts'
import { counted } from '../output.ts'
import { compareClocks } from './clock.ts'
import { about, type Finding, messageOf } from './finding.ts'

/** A `date` has whole seconds, and its answer was under way. */
const DATE_IS_EXACT_TO_MS = 2_000

/** What to do about a failure, by what its message says; the first pattern that matches counts. */
const REMEDIES: readonly (readonly [said: RegExp, remedy: string])[] = [
  [
    /does not describe/,
    'Write auth.jwt.issuer as the issuer names itself there, with or without the slash at its end.',
  ],
  [/ALTNAME/, 'Its certificate is for another name: write that one into auth.jwt.issuer, or into auth.jwt.jwks_url.'],
  [
    /certificate|CERT|SIGNED|UNABLE_TO_/,
    'Name the authority of its certificate by NODE_EXTRA_CA_CERTS; renew a certificate that has expired.',
  ],
  [
    /answered|jwks_uri|JSON|public key/,
    'Correct auth.jwt.issuer, or set auth.jwt.jwks_url to the address where it publishes its keys.',
  ],
]
const UNREACHABLE = 'See that this machine reaches it: no token of it is accepted before its keys can be read.'

/** Reads the keys of the issuers of tokens, as the gateway does with the first token. */
export async function checkIssuers({ auth: { jwt } }: Config): Promise<readonly Finding[]> {
  // With a secret that both know nothing is asked of the issuer.
  if (jwt.algorithms.every(algorithm => algorithm.startsWith('HS'))) return []
  return (await Promise.all(jwt.issuer.map(issuer => checkIssuer(issuer, jwt)))).flat()
}

async function checkIssuer(issuer: string, { jwks_url, leeway }: Config['auth']['jwt']): Promise<readonly Finding[]> {
  const { ok, failed } = about('issuer', issuer)
  let date: string | null = null
  const note = (headers: Headers) => {
    date = headers.get('date')
  }
  try {
    const { keys } = await readKeys(issuer, jwks_url, url => fetchText(url, note))
    const most = leeway + DATE_IS_EXACT_TO_MS
    return [
      ok(`it publishes ${counted(keys.length, 'key')}`),
      ...compareClocks({ subject: issuer, date, warning: most, failed: most }),
    ]
  } catch (thrown) {
    const message = messageOf(thrown)
    return [
      failed(`its keys cannot be read: ${message}`, REMEDIES.find(([said]) => said.test(message))?.[1] ?? UNREACHABLE),
    ]
  }
}
