import { isIP } from 'node:net'
import { z } from 'zod'
import { beginning, CIDR, HOST, HTTP_URL, looksLike, PROXY_URL } from './patterns.ts'
import { secret } from './scalars.ts'

// Every message that begins with "expected" is completed by the loader with what was found instead.

/** Accepts an address or a name of this machine. */
export const host = () =>
  z.string().regex(HOST, 'expected an address or a name of this machine, such as 127.0.0.1 or ::1 (0.0.0.0 for all)')

/** Accepts an http or https address. Credentials have their own keys, so that addresses can be logged. */
export function httpUrl() {
  return webAddress('; use api_key', ({ search, hash }) =>
    search === '' && hash === '' ? null : 'must not hold a query or fragment',
  )
}

/** Accepts an http or https address with a query, in which many services want their key; only its host is ever shown. */
export function hookUrl() {
  return webAddress('', ({ hash }) => (hash === '' ? null : 'must not hold a fragment'))
}

function webAddress(instead: string, problemOf: (url: URL) => string | null) {
  const plain = z.string().superRefine((value, context) => {
    const url = URL.parse(value)
    const complain = (message: string) => context.addIssue({ code: 'custom', message })
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '')
      return complain('expected an address such as http://127.0.0.1:11434')
    const isNamed = url.username !== '' || url.password !== ''
    const problem = isNamed ? `must not hold a user or password${instead}` : problemOf(url)
    if (problem !== null) complain(problem)
  })
  return plain.meta(looksLike(HTTP_URL))
}

/** Accepts `http://user:password@host:port`; it may hold a password and is never shown. */
export function proxyUrl() {
  return secret()
    .refine(value => {
      const url = URL.parse(value)
      return (
        url !== null && url.protocol === 'http:' && url.hostname !== '' && url.pathname === '/' && url.search === ''
      )
    }, 'expected a proxy such as http://user:password@proxy:3128')
    .refine(isReadable, UNREADABLE)
    .meta(looksLike(PROXY_URL))
}

/** Accepts an address that begins with one of the schemes; its value may hold a password and is never shown.
 *
 * @param several The message for several addresses with commas between them. */
export function urlOf(schemes: readonly string[], example: string, several = 'holds more than one address') {
  return z
    .string()
    .refine(value => schemes.some(scheme => value.startsWith(scheme)), `expected an address such as ${example}`)
    .refine(value => !holdsSeveral(value), several)
    .refine(value => holdsSeveral(value) || isReadable(value), UNREADABLE)
    .meta(looksLike(beginning(schemes)))
}

/** Matches a comma in the host, or a second address after a comma. A SQLite file may have a comma in its name. */
const SEVERAL = /^(?!sqlite:)\w+:\/\/([^/?#]*,[^/?#@]*([/?#]|$)|.*,\s*\w+:\/\/)/

const UNREADABLE =
  'cannot be read: a port is 65535 at most, % is written %25, and in a user or password / %2F, ? %3F and # %23'

/** Whether a text holds several addresses with commas between them. */
export const holdsSeveral = (value: string) => SEVERAL.test(value)

/** Whether it is clear which part of an address is the password. If it is not, the address is refused: a password that
 * is not recognised would be shown. */
function isReadable(value: string): boolean {
  // The path of a file has no password.
  if (value.startsWith('sqlite:') || !value.includes('://')) return true
  const url = URL.parse(value)
  if (url === null || (url.pathname + url.search + url.hash).includes('@')) return false
  try {
    decodeURIComponent(value)
    return true
  } catch {
    return false
  }
}

/** Accepts an address block such as `10.0.0.0/8`; a single address is a block of one. */
export function cidr() {
  return z.string().refine(isAddressBlock, 'expected an address or block such as 10.0.0.0/8').meta(looksLike(CIDR))
}

function isAddressBlock(value: string): boolean {
  const [address = '', prefix, ...rest] = value.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128))
}
