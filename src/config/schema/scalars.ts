import { isIP } from 'node:net'
import { z } from 'zod'
import { formatDuration, formatSize, parseDuration, parseSize } from '#lib/duration.ts'
import { FIELD_NAME, NOT_IN_FIELD } from '#lib/field.ts'
import { KEY, KEY_CHARACTERS_MAX } from '#wire/keys.ts'

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
  return z.preprocess(toNumber, inner)
}

/** Accepts a whole number, also written as text. */
export function integer(range: { min?: number; max?: number } = {}) {
  const { min = 0, max } = range
  const inner = z.int().min(min)
  return z.preprocess(toNumber, max === undefined ? inner : inner.max(max))
}

/** Accepts `auto` and a whole number. */
export function integerOrAuto(range: { min?: number; max?: number } = {}) {
  const isAuto = (value: unknown) => typeof value === 'string' && value.toLowerCase() === 'auto'
  return z.preprocess(
    (value: number | string) => (isAuto(value) ? 'auto' : value),
    z.union([integer(range), z.literal('auto')], { error: 'expected auto or a whole number' }),
  )
}

export const port = (min = 0) => integer({ min, max: 65_535 })
export const fraction = () => number({ min: 0, max: 1 })
export const percent = () => number({ min: 0, max: 100 })

/** Accepts true and false, and the words for them that YAML 1.2 reads as text. */
export function boolean() {
  return z.preprocess((value: boolean | string) => toBoolean(value), z.boolean())
}

/** Accepts one of the words in any case; `synonyms` are words of other programs for the same thing. */
export function choice<const T extends readonly string[]>(
  words: T,
  synonyms: Readonly<Record<string, T[number]>> = {},
) {
  const normalise = (value: string): unknown => {
    if (typeof value !== 'string') return value
    const word = value.toLowerCase()
    return Object.hasOwn(synonyms, word) ? synonyms[word] : word
  }
  return z.preprocess(normalise, z.enum(words))
}

/** Accepts `auto`, true and false. */
export function autoOrBoolean() {
  const normalise = (value: boolean | string) =>
    typeof value === 'string' && value.toLowerCase() === 'auto' ? 'auto' : toBoolean(value)
  return z.preprocess(normalise, z.union([z.boolean(), z.literal('auto')], { error: 'expected auto, true or false' }))
}

/** Accepts a duration and gives milliseconds. */
export function duration(range: { min?: number; max?: number } = {}) {
  const { min = 0, max = longestTimer } = range
  return quantity('a duration such as 30s', 'ms', parseDuration, { min, max, most: formatDuration(max) })
}

/** Accepts a size and gives bytes. */
export function size() {
  const max = Number.MAX_SAFE_INTEGER
  return quantity('a size such as 10MB', 'bytes', parseSize, { min: 0, max, most: formatSize(max) })
}

function quantity(
  what: string,
  unit: 'ms' | 'bytes',
  parse: (value: string | number) => number | null,
  range: { readonly min: number; readonly max: number; readonly most: string },
) {
  const written = z.union([z.string(), z.number()], { error: `expected ${what}` })
  return written
    .transform((value, context) => {
      const amount = parse(value)
      if (amount !== null && amount >= range.min && amount <= range.max) return amount
      const bound = amount === null ? '' : amount < range.min ? ' (more than 0)' : ` (${range.most} at most)`
      context.addIssue({ code: 'custom', message: `expected ${what}${bound}` })
      return z.NEVER
    })
    .meta({ 'x-unit': unit })
}

export const text = () => z.string().min(1)
// Patterns have no flags: a JSON Schema has no place for them.
export const identifier = () =>
  z.string().regex(/^[a-zA-Z0-9][\w.-]{0,63}$/, 'expected a name of letters, digits, dots, dashes and underscores')
export const modelName = () =>
  z.string().regex(/^[a-zA-Z0-9][\w.:/@+-]{0,127}$/, 'expected a model name of letters, digits and . _ - : / @ +')
export const path = () => z.string().regex(/^\/[\w./-]*$/, 'expected a path such as /metrics')

/** Accepts a key or password. It is text like any other; the name marks places whose value is never shown. */
export const secret = () => z.string().min(1).meta({ 'x-secret': true })

/** Accepts a key that clients can send. */
export const ownKey = () =>
  secret()
    .max(KEY_CHARACTERS_MAX, `no client can send it: it has more than ${KEY_CHARACTERS_MAX} characters`)
    .regex(KEY, 'no client can send it: it holds blanks, line ends, commas or letters that no key has')

/** Accepts a secret that goes out in a header. */
export const headerSecret = () =>
  secret().refine(value => !NOT_IN_FIELD.test(value), 'holds a line end or another character that no header can carry')

/** Accepts the headers that go with requests. */
export const headers = () =>
  z.record(z.string().regex(FIELD_NAME, 'expected the name of a header, such as x-tenant'), headerSecret())

/** Accepts an http or https address. Credentials have their own keys, so that addresses can be logged. */
export function httpUrl() {
  return z.string().superRefine((value, context) => {
    const url = URL.parse(value)
    const complain = (message: string) => context.addIssue({ code: 'custom', message })
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '')
      complain('expected an address such as http://127.0.0.1:11434')
    else if (url.username !== '' || url.password !== '') complain('must not hold a user or password; use api_key')
    else if (url.search !== '' || url.hash !== '') complain('must not hold a query or fragment')
  })
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
}

/** Accepts an address that begins with one of the schemes; its value may hold a password and is never shown. */
export function urlOf(schemes: readonly string[], example: string) {
  return z
    .string()
    .refine(value => schemes.some(scheme => value.startsWith(scheme)), `expected an address such as ${example}`)
    .refine(isReadable, UNREADABLE)
}

const UNREADABLE = 'cannot be read: % is written %25, and in a user or password / %2F, ? %3F and # %23'

/** Whether it is certain which part of an address is a password: what nobody knows to be a secret would be shown. */
function isReadable(value: string): boolean {
  // A file has none.
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
  return z.string().refine(isAddressBlock, 'expected an address or block such as 10.0.0.0/8')
}

function isAddressBlock(value: string): boolean {
  const [address = '', prefix, ...rest] = value.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128))
}

function toNumber(value: number | string): unknown {
  if (typeof value !== 'string' || !/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value)) return value
  return Number(value)
}

function toBoolean(value: boolean | string): unknown {
  if (typeof value !== 'string') return value
  const word = value.toLowerCase()
  return Object.hasOwn(truths, word) ? truths[word] : value
}
