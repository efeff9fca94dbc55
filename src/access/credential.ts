import { KEY, KEY_CHARACTERS_MAX } from '#wire/keys.ts'

const BEARER = /^bearer(?: +|$)/i

const QUOTED = /^["'`].*["'`]$/
/** As a shell, a template or a web page writes what it did not replace. */
const VARIABLE = /^(?:\$\{?\w+\}?|\{\{.*\}\}|<.*>|%\w+%)$/

/** The headers that may carry a key, as they were sent; `null` = absent. */
export interface Credentials {
  readonly authorization: string | null
  readonly xApiKey: string | null
  readonly apiKey: string | null
}

/** Picks the headers that may carry a key. */
export function credentialsOf(headers: { get(name: string): string | null }): Credentials {
  return {
    authorization: headers.get('authorization'),
    xApiKey: headers.get('x-api-key'),
    apiKey: headers.get('api-key'),
  }
}

/** The only header with a credential, `null` when there are several. A space in front tells a key header from the same
 * text in `authorization`. */
export function soleHeader({ authorization, xApiKey, apiKey }: Credentials): string | null {
  if (xApiKey === null && apiKey === null) return authorization
  if (authorization !== null || (xApiKey !== null && apiKey !== null)) return null
  return ` ${xApiKey ?? apiKey}`
}

/** What the headers contain: one key, none, or something that cannot be a key. */
export type Presented = { readonly key: string } | 'none' | 'malformed'

/** Reads the key of a request from `Authorization: Bearer`, `x-api-key` and `api-key`. If several are sent they must be
 * equal. */
export function readKey({ authorization, xApiKey, apiKey }: Credentials): Presented {
  let key: string | null = null
  if (authorization !== null && authorization !== '') {
    if (!BEARER.test(authorization) || authorization.length > KEY_CHARACTERS_MAX + 'Bearer '.length) return 'malformed'
    key = authorization.replace(BEARER, '').trim() || null
  }
  for (const header of [xApiKey, apiKey]) {
    if (header === null || header === '') continue
    if (key !== null && key !== header) return 'malformed'
    key = header
  }
  if (key === null) return 'none'
  return key.length <= KEY_CHARACTERS_MAX && KEY.test(key) ? { key } : 'malformed'
}

/** What is wrong with how a key was sent, where that can be seen; `null` where it cannot. */
export function faultOfForm({ authorization, xApiKey, apiKey }: Credentials): string | null {
  const sent = authorization ?? ''
  if (sent !== '' && !BEARER.test(sent)) return 'send it as "Authorization: Bearer <key>"'
  const own = sent.replace(BEARER, '').trim()
  if (BEARER.test(own)) return 'the word "Bearer" was sent twice'
  const keys = [own, xApiKey ?? '', apiKey ?? ''].filter(each => each !== '')
  if (keys.some(each => QUOTED.test(each))) return 'it was sent with quotes around it'
  if (keys.some(each => VARIABLE.test(each))) return 'the name of a variable was sent in its place'
  return keys.some(each => each !== keys[0]) ? 'several headers carry different keys, send one' : null
}

const PLACEHOLDERS: ReadonlySet<string> = new Set(
  (
    'api-key dummy empty fake fake-key key lm-studio local n/a na no-key no-key-needed no-key-required nokey none ' +
    'not-needed not-required not-used null ollama placeholder sk-no-key-required sk-none sk-xxx test undefined unused ' +
    'x xxx'
  ).split(' '),
)

/** Whether a key is a placeholder, which clients send because their library insists on a key. */
export function isPlaceholder(key: string): boolean {
  return PLACEHOLDERS.has(key.toLowerCase())
}
