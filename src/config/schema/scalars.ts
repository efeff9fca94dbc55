import { isIP } from 'node:net'
import { z } from 'zod'
import { formatDuration, formatSize, parseDuration, parseSize } from '#lib/duration.ts'
import { FIELD_NAME, NOT_IN_FIELD } from '#lib/field.ts'
import { KEY, KEY_CHARACTERS_MAX } from '#wire/keys.ts'
import {
  alsoText,
  anyCase,
  beginning,
  CIDR,
  DURATION,
  HOST,
  HTTP_URL,
  looksLike,
  NUMBER,
  PROXY_URL,
  SIZE,
} from './patterns.ts'

// Every message that begins with "expected" is completed by the loader with what was found instead.

/** The longest wait that a timer can count (a signed 32-bit number of milliseconds), rounded down to days. */
const longestTimer = 24 * 86_400_000

const truths: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  '1': true,
  false: false,
  no: false,
  off: false,
  '0': false,
}

/** Accepts a number, also written as text, which is how environment variables arrive. */
export function number(range: { min?: number; max?: number; above?: number } = {}) {
  let inner = z.number()
  if (range.above !== undefined) inner = inner.gt(range.above)
  if (range.min !== undefined) inner = inner.min(range.min)
  if (range.max !== undefined) inner = inner.max(range.max)
  return z.preprocess(toNumber, inner).meta(alsoText(NUMBER))
}

/** Accepts a whole number, also written as text. */
export function integer(range: { min?: number; max?: number } = {}) {
  const { min = 0, max } = range
  const inner = z.int().min(min)
  return z.preprocess(toNumber, max === undefined ? inner : inner.max(max)).meta(alsoText(NUMBER))
}

/** Accepts `auto` and a whole number. */
export function integerOrAuto(range: { min?: number; max?: number } = {}) {
  const isAuto = (value: unknown) => typeof value === 'string' && value.toLowerCase() === 'auto'
  return z
    .preprocess(
      (value: number | string) => (isAuto(value) ? 'auto' : value),
      z.union([integer(range), z.literal('auto')], { error: 'expected auto or a whole number' }),
    )
    .meta(alsoText(anyCase(['auto'])))
}

export const port = (min = 0) => integer({ min, max: 65_535 })
export const fraction = () => number({ min: 0, max: 1 })
export const percent = () => number({ min: 0, max: 100 })

/** Accepts true and false, and the words for them that YAML 1.2 reads as text. */
export function boolean() {
  return z
    .preprocess((value: boolean | string) => toBoolean(value), z.boolean())
    .meta(alsoText(anyCase(Object.keys(truths))))
}

/** Accepts one of the words in any case; `synonyms` are words that other programs use for the same thing. */
export function choice<const T extends readonly string[]>(
  words: T,
  synonyms: Readonly<Record<string, T[number]>> = {},
) {
  const normalise = (value: string): unknown => {
    if (typeof value !== 'string') return value
    const word = value.toLowerCase()
    return Object.hasOwn(synonyms, word) ? synonyms[word] : word
  }
  return z.preprocess(normalise, z.enum(words)).meta(alsoText(anyCase([...words, ...Object.keys(synonyms)])))
}

/** Accepts `auto`, true and false. */
export function autoOrBoolean() {
  const normalise = (value: boolean | string) =>
    typeof value === 'string' && value.toLowerCase() === 'auto' ? 'auto' : toBoolean(value)
  return z
    .preprocess(normalise, z.union([z.boolean(), z.literal('auto')], { error: 'expected auto, true or false' }))
    .meta(alsoText(anyCase(['auto', ...Object.keys(truths)])))
}

/** Accepts a duration and gives milliseconds. */
export function duration(range: { min?: number; max?: number } = {}) {
  const { min = 0, max = longestTimer } = range
  const written = { pattern: DURATION, max: max / 1000, most: formatDuration(max) }
  return quantity('a duration such as 30s', 'ms', { parse: parseDuration, min, max, written })
}

/** Accepts a size and gives bytes. */
export function size() {
  const max = Number.MAX_SAFE_INTEGER
  const written = { pattern: SIZE, max, most: formatSize(max) }
  return quantity('a size such as 10MB', 'bytes', { parse: parseSize, min: 0, max, written })
}

function quantity(
  what: string,
  unit: 'ms' | 'bytes',
  range: {
    readonly parse: (value: string | number) => number | null
    readonly min: number
    readonly max: number
    /** How it is written in a file: the pattern of a text, the highest bare number, and the highest value for
     * messages. */
    readonly written: { readonly pattern: RegExp; readonly max: number; readonly most: string }
  },
) {
  const { parse, min, max, written } = range
  const number = z.number().meta({ ...(min > 0 ? { exclusiveMinimum: 0 } : { minimum: 0 }), maximum: written.max })
  return z
    .union([z.string().meta(looksLike(written.pattern)), number], { error: `expected ${what}` })
    .transform((value, context) => {
      const amount = parse(value)
      if (amount !== null && amount >= min && amount <= max) return amount
      const bound = amount === null ? '' : amount < min ? ' (more than 0)' : ` (${written.most} at most)`
      context.addIssue({ code: 'custom', message: `expected ${what}${bound}` })
      return z.NEVER
    })
    .meta({ 'x-unit': unit })
}

export const text = () => z.string().min(1)
export const identifier = () =>
  z.string().regex(/^[A-Za-z0-9][\w.-]{0,63}$/, 'expected a name of letters, digits, dots, dashes and underscores')
export const modelName = () =>
  z.string().regex(/^[A-Za-z0-9][\w.:/@+-]{0,127}$/, 'expected a model name of letters, digits and . _ - : / @ +')
export const host = () =>
  z.string().regex(HOST, 'expected an address or a name of this machine, such as 127.0.0.1 or ::1 (0.0.0.0 for all)')
export const path = () => z.string().regex(/^\/[\w./-]*$/, 'expected a path such as /metrics')

/** Accepts a key or password: any text. The mark `x-secret` in the schema says that its value is never shown. */
export const secret = () => z.string().min(1).meta({ 'x-secret': true })

/** Accepts a key that clients can send in a header. */
export const ownKey = () =>
  secret()
    .max(KEY_CHARACTERS_MAX, `no client can send it: it has more than ${KEY_CHARACTERS_MAX} characters`)
    .regex(KEY, 'no client can send it: it holds blanks, line ends, commas or letters that no key has')

/** Accepts a secret that goes out in a header. */
export const headerSecret = () =>
  secret().refine(value => !NOT_IN_FIELD.test(value), 'holds a line end or another character that no header can carry')

/** Accepts the headers that are sent with requests. */
export const headers = () =>
  z.record(z.string().regex(FIELD_NAME, 'expected the name of a header, such as x-tenant'), headerSecret())

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

function toNumber(value: number | string): unknown {
  return typeof value === 'string' && NUMBER.test(value) ? Number(value) : value
}

/** Turns a word for true or false into a boolean; other values stay what they are. */
export function toBoolean(value: unknown): unknown {
  if (typeof value !== 'string') return value
  const word = value.toLowerCase()
  return Object.hasOwn(truths, word) ? truths[word] : value
}
