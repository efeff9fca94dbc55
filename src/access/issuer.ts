import type { JSONWebKeySet } from 'jose'
import { isObject } from '#lib/json.ts'

const TIMEOUT_MS = 5_000
const BYTES_MAX = 512 * 1024

/** Reads a text over HTTP; replaced in tests. */
export type FetchText = (url: string) => Promise<string>

/** Reads the keys of an issuer from their own address, or from the address that the issuer publishes (OpenID Connect
 * Discovery 1.0 §4).
 *
 * @throws Error with a message for the log, not for callers. */
export async function readKeys(issuer: string, jwksUrl: string | null, fetchText: FetchText): Promise<JSONWebKeySet> {
  return toKeySet(await fetchText(jwksUrl ?? (await discover(issuer, fetchText))))
}

async function discover(issuer: string, fetchText: FetchText): Promise<string> {
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const document: unknown = JSON.parse(await fetchText(address))
  if (!isObject(document) || document.issuer !== issuer)
    throw new Error(`${address} does not describe the issuer ${issuer}`)
  const { jwks_uri: uri } = document
  const url = typeof uri === 'string' ? URL.parse(uri) : null
  // Keys must be read as safely as the document that gives their address: https stays https.
  if (url === null || (url.protocol !== 'https:' && url.protocol !== URL.parse(issuer)?.protocol))
    throw new Error(`${address} has no usable jwks_uri`)
  return url.href
}

/** Keeps public keys only: a secret that an issuer publishes cannot prove anything. */
function toKeySet(text: string): JSONWebKeySet {
  const document: unknown = JSON.parse(text)
  const keys = isObject(document) && Array.isArray(document.keys) ? document.keys : []
  const usable = keys.filter(isObject).filter(key => typeof key.kty === 'string' && key.kty !== 'oct' && !('d' in key))
  if (usable.length === 0) throw new Error('the key set holds no public key')
  return { keys: usable.map(key => ({ ...key, kty: String(key.kty) })) }
}

/** Reads over HTTP without following redirects, within a time and a size.
 *
 * @param note Told the headers of the answer.
 * @throws Error when that fails. */
export async function fetchText(url: string, note: (headers: Headers) => void = () => {}): Promise<string> {
  const response = await fetch(url, {
    redirect: 'manual',
    signal: AbortSignal.timeout(TIMEOUT_MS),
    headers: { accept: 'application/json' },
  })
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel()
    throw new Error(`${url} answered ${response.status}`)
  }
  note(response.headers)
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const part of response.body) {
    bytes += part.byteLength
    if (bytes > BYTES_MAX) throw new Error(`${url} answered more than ${BYTES_MAX} bytes`)
    text += decoder.decode(part, { stream: true })
  }
  return text + decoder.decode()
}
