import { type Code, GatewayError } from '#core/errors.ts'
import { parseDuration } from '#lib/duration.ts'
import type { Head } from './provider.ts'

/** The parts of a server's error, as a dialect read them, before it becomes one of the gateway's codes. */
export interface UpstreamFailure {
  readonly message: string
  readonly code: string | null
  readonly type: string | null
  readonly param: string | null
}

// Not every `too long` means the prompt: the name of a tool can be too long, too.
const CONTEXT =
  /context.{0,2}(?:length|size|window)|maximum (?:context|prompt length|model length)|(?:prompt|input|conversation|messages) (?:is |are )?too long|exceeds? the (?:available )?context|too many (?:input )?tokens|token count.{0,40}exceeds|`inputs` (?:tokens \+ `max_new_tokens` must be <=|must have less than)/i
const CONTENT = /content_filter|content_policy|content management policy|responsible_?ai/i
/** OpenRouter refuses with 403 what its moderation flags. */
const FLAGGED = /requires moderation|was flagged/i
/** xAI and Gemini answer a bad key with 400. Only how a message begins is certainly the server's: vLLM repeats in it what
 * the caller has sent, and what callers write must not end a credential. */
const KEY = /^(?:(?:incorrect|invalid)[ _]api[ _]?key|api key (?:not valid|is invalid|expired))/i
const QUOTA = /insufficient_quota|billing|quota_exceeded|insufficient.{0,8}(?:balance|credits)/i
/** Groq and OpenAI name their billing pages in limits that pass, too; so does Gemini, with when to come again. */
const PASSING = /rate_limit_exceeded|(?:try again|retry) in \d/i
/** Groq's status for "no capacity left for now". */
const NO_CAPACITY = 498
/** TGI's status for a failure in the middle of its work. */
const GENERATION_FAILED = 424
const MESSAGE_CHARACTERS_MAX = 2000

/** The longest wait that is passed on, in milliseconds: a longer one only means "not today". */
const WAIT_MS_MAX = 86_400_000
const GO_DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/
const DATE = /^(?:[A-Za-z]{3,9},? +\d|[A-Za-z]{3} [A-Za-z]{3} +\d|\d{4}-\d{2}-\d{2})/

/** Maps an upstream's HTTP status and error to the gateway's codes.
 *
 * The caller's own mistakes keep the server's words; what is the server's fault keeps only its class, and the words
 * are in the cause. */
export function toUpstreamError(
  status: number,
  failure: UpstreamFailure,
  retryAfterMs: number | null = null,
): GatewayError {
  const words = `${failure.code ?? ''} ${failure.type ?? ''} ${failure.message}`
  const message = publicText(failure.message)
  const cause = { status, ...failure }
  const param = failure.param
  if (status === 403 && FLAGGED.test(words))
    return new GatewayError('content_policy_violation', message, { cause, param })
  if (status === 401 || status === 402 || status === 403 || (status === 400 && isOfKey(failure))) {
    return new GatewayError('upstream_auth_failed', 'The model server refused the credentials of the gateway.', {
      cause,
    })
  }
  if (status === 429 || status === NO_CAPACITY) {
    const isSpent = QUOTA.test(words) && !PASSING.test(words)
    const code: Code = isSpent ? 'insufficient_quota' : 'provider_rate_limited'
    return new GatewayError(code, 'The model server limits its requests; try again later.', { cause, retryAfterMs })
  }
  // A 408 is an answer, and a quick one: what is never asked again is a server that says nothing.
  if (status === 408 || status === GENERATION_FAILED || status >= 500)
    return new GatewayError('upstream_error', `The model server failed with HTTP ${status}.`, { cause, retryAfterMs })
  if (status >= 400) {
    const options = { cause, param }
    if (CONTEXT.test(words)) return new GatewayError('context_length_exceeded', message, options)
    if (CONTENT.test(words)) return new GatewayError('content_policy_violation', message, options)
    if (status === 404) return new GatewayError('model_not_found', message, { ...options, param: param ?? 'model' })
    if (status === 413) return new GatewayError('request_too_large', message, options)
    if (failure.code === 'unsupported_parameter') return new GatewayError('unsupported_parameter', message, options)
    return new GatewayError('invalid_request', message, options)
  }
  return invalidAnswer(`HTTP ${status}`, cause)
}

function isOfKey({ code, message }: UpstreamFailure): boolean {
  return KEY.test(message) || (code !== null && KEY.test(code))
}

/** The error for an answer that is not what the protocol promises: HTML, half a JSON, a redirect. */
export function invalidAnswer(what: string, cause: unknown = what): GatewayError {
  return new GatewayError('upstream_invalid_response', 'The model server sent an answer that could not be read.', {
    cause,
  })
}

/** Whether a status means that there is no such path: a mistake in the configuration, not the caller's, that says
 * nothing of a model. */
export function isWrongAddress(status: number, { message }: UpstreamFailure): boolean {
  return status === 405 || (status === 404 && /^(?:(?:page )?not found\W*)?$/i.test(message))
}

/** The error for an address that leads nowhere. */
export function wrongAddress(status: number): GatewayError {
  return invalidAnswer(`HTTP ${status}: no such path`)
}

const PAGE = /^\s*<(?:!doctype|html|\?xml)\b/i

/** The error for an answer that is no JSON object. Its text stays out of the log, because it may be what the model
 * said; a page, such as a proxy's, is nothing that a model says. */
export function unreadableAnswer(body: string): GatewayError {
  const what = PAGE.test(body) ? body.trimStart().slice(0, 200) : `${body.length} characters`
  return invalidAnswer(`no JSON object: ${what}`)
}

/** The wait that an answer's headers ask for, in milliseconds and at most a day; `null` when they say nothing
 * usable. */
export function retryAfterOf(head: Head, nowEpochMs: number): number | null {
  const wait =
    numberOf(head.header('retry-after-ms')) ??
    waitOf(head.header('retry-after'), nowEpochMs) ??
    resetOf(head, nowEpochMs)
  return wait === null ? null : Math.min(wait, WAIT_MS_MAX)
}

/** Seconds, or a date. */
function waitOf(text: string | null, nowEpochMs: number): number | null {
  const seconds = numberOf(text)
  return seconds === null ? untilDate(text ?? '', nowEpochMs) : seconds * 1000
}

/** The wait until the limits that are used up begin anew, from OpenAI's `x-ratelimit-*`. */
function resetOf(head: Head, nowEpochMs: number): number | null {
  let longest: number | null = null
  for (const what of ['requests', 'tokens']) {
    if (head.header(`x-ratelimit-remaining-${what}`) !== '0') continue
    const ms = resetMs(head.header(`x-ratelimit-reset-${what}`) ?? '', nowEpochMs)
    if (ms !== null) longest = Math.max(longest ?? 0, ms)
  }
  return longest
}

/** A Go duration (`6m0s`), seconds, or a point in time as a date, epoch seconds or milliseconds. */
function resetMs(text: string, nowEpochMs: number): number | null {
  const number = numberOf(text)
  if (number !== null) {
    if (number >= 1e12) return Math.max(0, number - nowEpochMs)
    return number >= 1e9 ? Math.max(0, number * 1000 - nowEpochMs) : number * 1000
  }
  if (!GO_DURATION.test(text.trim())) return untilDate(text, nowEpochMs)
  const parts = text.match(/\d+(?:\.\d+)?(?:ms|[smhd])/g) ?? []
  return parts.reduce((sum, part) => sum + (parseDuration(part) ?? 0), 0)
}

/** A number that is none below zero; `null` for anything else. */
function numberOf(text: string | null): number | null {
  const number = text === null || text.trim() === '' ? Number.NaN : Number(text)
  return number >= 0 ? number : null
}

/** Until an HTTP or ISO date; one that is past is no wait. Only what looks like a date: parsers read much into junk. */
function untilDate(text: string, nowEpochMs: number): number | null {
  const date = DATE.test(text.trim()) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? null : Math.max(0, date - nowEpochMs)
}

/** A server's words as they may be shown: no address, no key, no control characters, bounded. */
function publicText(text: string): string {
  const clean = text
    .replace(/\p{Cc}+/gu, ' ')
    .replace(/\bhttps?:\/\/\S+/gi, '[address]')
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g, '[address]')
    .replace(/\b(?:(?:sk|gsk|xai|pk|key)-[A-Za-z0-9_*-]{8,}|AIza[\w-]{20,})/g, '[key]')
    .replace(/\bBearer\s+\S+/gi, '[key]')
  return clean.slice(0, MESSAGE_CHARACTERS_MAX) || 'The model server refused the request.'
}
