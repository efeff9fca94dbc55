import { z } from 'zod'
import { formatDuration, formatSize, parseDuration, parseSize } from '#lib/duration.ts'
import { FIELD_NAME, NOT_IN_FIELD } from '#lib/field.ts'
import { isSigningSecret } from '#lib/standard-webhooks.ts'
import { KEY, KEY_CHARACTERS_MAX } from '#wire/keys.ts'
import { alsoText, anyCase, DURATION, looksLike, NUMBER, SIZE } from './patterns.ts'

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
export function integerOrAuto(range: { min: number; max: number }) {
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

/** Accepts a secret that webhooks are signed with. */
export const signingSecret = () => secret().refine(isSigningSecret, 'holds no base64 behind whsec_')

/** Accepts the headers that are sent with requests. */
export const headers = () =>
  z.record(z.string().regex(FIELD_NAME, 'expected the name of a header, such as x-tenant'), headerSecret())

function toNumber(value: number | string): unknown {
  return typeof value === 'string' && NUMBER.test(value) ? Number(value) : value
}

/** Turns a word for true or false into a boolean; other values stay what they are. */
export function toBoolean(value: unknown): unknown {
  if (typeof value !== 'string') return value
  const word = value.toLowerCase()
  return Object.hasOwn(truths, word) ? truths[word] : value
}
