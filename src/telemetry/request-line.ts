import type { AttemptEntry } from '#core/attempt.ts'
import { ERRORS, GatewayError } from '#core/errors.ts'
import { freeOutcome, type RequestRecord } from '#core/record.ts'
import type { Usage } from '#core/usage.ts'
import { isObject } from '#lib/json.ts'
import { createNameWriter, printable, quote } from './quote.ts'
import { overheadMs } from './request-metrics.ts'

/** The longest cause in a line, in characters: short enough that it does not carry a prompt into the log. */
const CAUSE_MAX = 300
/** How much of a cause is searched for secrets, in characters; what comes after it is dropped first. */
const CAUSE_READ_MAX = 16 * 1024

/** Replaces secrets in a text. */
export type Redact = (text: string) => string

/** Writes the fields of a request's line; caches those that recur. */
export interface FieldWriters {
  readonly redact: Redact
  readonly name: (name: string | null) => string
  /** `method`, `path` and `route`, with a comma before them. */
  readonly routeFields: (record: RequestRecord) => string
  /** `caller`, `tenant` and `client` (the address), with a comma before them. */
  readonly callerFields: (record: RequestRecord) => string
}

const REMEMBERED_MAX = 1000

/** Creates the writers. The text for a route or a caller is cached, because the same ones come again and again and
 * joining their fields costs as much as the rest of the line. */
export function createFieldWriters(redact: Redact): FieldWriters {
  const name = createNameWriter(redact)
  const routes = new Map<string, { readonly method: string; readonly text: string }>()
  const callers = new Map<string, { readonly tenant: string | null; readonly text: string }>()

  function routeFields({ method, path, route }: RequestRecord): string {
    // A path that equals its route needs no quoting, and there are no more such paths than routes.
    if (path !== route) {
      return `,"method":${name(method)},"path":${quote(redact(pathOf(path)))},"route":"${route}"`
    }
    const known = routes.get(route)
    if (known?.method === method) return known.text
    const text = `,"method":${name(method)},"path":"${path}","route":"${route}"`
    routes.set(route, { method, text })
    return text
  }

  function callerFields({ caller, tenant, address }: RequestRecord): string {
    const known = caller === null ? undefined : callers.get(caller)
    if (known?.tenant === tenant) return known.text + name(address)
    const text = `,"caller":${name(caller)},"tenant":${name(tenant)},"client":`
    if (caller !== null) {
      if (callers.size >= REMEMBERED_MAX) callers.clear()
      callers.set(caller, { tenant, text })
    }
    return text + name(address)
  }

  return { redact, name, routeFields, callerFields }
}

/** Writes the log line of a request from its record.
 *
 * It joins strings because building an object and serialising it takes several times as long, for every request. Texts
 * from outside are quoted; values that only the gateway sets are not.
 *
 * @param head The fields that every line begins with. */
export function requestLine(
  head: string,
  record: RequestRecord,
  { redact, name, routeFields, callerFields }: FieldWriters,
): string {
  const { usage, attempts } = record
  let line = `${head},"message":"request","request_id":"${record.id}"${routeFields(record)}`
  line += `,"status":${record.status},"code":${text(record.code)}`
  line += `,"duration_ms":${ms(record.endedAt - record.startedNow)},"outcome":"${record.outcome}"`
  if (record.model !== null) {
    line += `,"model":${name(record.model)},"server":${name(record.server)}`
    line += `,"upstream_model":${name(record.upstreamModel)},"stream":${record.stream}`
    line += `,"attempts":${attempts.length}`
    if (attempts.length > 1 || attempts[0]?.result !== 'ok') line += attemptList(attempts, redact)
  }
  if (usage !== null) {
    line += `,"tokens_in":${tokensIn(usage)},"tokens_out":${usage.output},"estimated":${usage.estimated}`
    // The outcome of a client that left early is `cancelled`, so this field says that another call paid for the tokens.
    const free = freeOutcome(record)
    if (free !== null) line += `,"cache":"${free}"`
  }
  if (record.firstTokenAt > 0 && record.stream)
    line += `,"first_token_ms":${ms(record.firstTokenAt - record.startedNow)}`
  if (record.queueMs > 0) line += `,"queue_ms":${ms(record.queueMs)}`
  const overhead = overheadMs(record)
  if (overhead !== null) line += `,"overhead_ms":${ms(overhead)}`
  if (record.eventsSkipped > 0) line += `,"events_skipped":${record.eventsSkipped}`
  line += callerFields(record)
  if (record.callerRequestId !== null) line += `,"caller_request_id":${quote(redact(record.callerRequestId))}`
  if (record.traceparent !== null) line += `,"trace_id":${quote(record.traceparent.slice(3, 35))}`
  const cause = causeText(record, redact)
  return cause === null ? `${line}}` : `${line},"error":${quote(cause)}}`
}

/** Writes the line of a request for people who watch a terminal. */
export function prettyRequestLine(time: string, record: RequestRecord, redact: Redact): string {
  const took = `${Number(ms(record.endedAt - record.startedNow))} ms`
  const parts = [time, record.method, redact(pathOf(record.path)), String(record.status), took]
  if (record.model !== null) parts.push(`${record.model} → ${record.server ?? '-'}`)
  if (record.attempts.length > 1) parts.push(`${record.attempts.length} attempts`)
  if (record.usage !== null) parts.push(`${tokensIn(record.usage)}+${record.usage.output} tokens`)
  if (record.code !== null) parts.push(record.code)
  const cause = causeText(record, redact)
  if (cause !== null) parts.push(cause)
  return parts.map(printable).join('  ')
}

/** The whole prompt, also what of it a prompt cache held. */
function tokensIn({ input, cacheRead, cacheWrite }: Usage): number {
  return input + cacheRead + cacheWrite
}

/** Whether the gateway or a server is at fault. A stream that broke off has the status 200 with which it began. */
export function isFailure({ status, error }: RequestRecord): boolean {
  return status >= 500 || (error !== null && ERRORS[error.code].status >= 500)
}

/** The cause of a failure; `null` where there is none. Callers never see it. */
function causeText(record: RequestRecord, redact: Redact): string | null {
  return record.error !== null && isFailure(record) ? storyOf(record.error.cause, redact) : null
}

function storyOf(cause: unknown, redact: Redact): string | null {
  if (cause === undefined || cause === null) return null
  // The stack of an error of ours says where it was made, and not why.
  if (cause instanceof GatewayError) return storyOf(cause.cause ?? cause.code, redact)
  const whole = cause instanceof Error ? (cause.stack ?? String(cause)) : words(cause)
  return redact(whole.slice(0, CAUSE_READ_MAX)).slice(0, CAUSE_MAX)
}

/** What is known of a failure, in words: JSON within the JSON of the line is hard to read, and to search. */
function words(cause: unknown): string {
  if (typeof cause === 'string') return cause
  if (!isObject(cause)) return json(cause)
  const told = Object.entries(cause).filter(([, value]) => value !== null && value !== undefined)
  return told.map(([name, value]) => `${name} ${typeof value === 'string' ? value : json(value)}`).join(', ')
}

function json(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return String(value)
  }
}

function attemptList(attempts: readonly AttemptEntry[], redact: Redact): string {
  return attempts.length === 0 ? '' : `,"attempt_list":[${attempts.map(each => attemptText(each, redact)).join(',')}]`
}

/** Where another server answered, nothing else says why this one did not. */
function attemptText({ server, result, ms: took, cause }: AttemptEntry, redact: Redact): string {
  const story = storyOf(cause, redact)
  const error = story === null ? '' : `,"error":${quote(story)}`
  return `{"server":${quote(server)},"result":${text(result)},"ms":${ms(took)}${error}}`
}

function pathOf(path: string): string {
  const query = path.indexOf('?')
  return query < 0 ? path : path.slice(0, query)
}

function text(value: string | null): string {
  return value === null ? 'null' : quote(value)
}

/** Milliseconds with two decimals, written as two integers because formatting a fraction takes three times as long. */
function ms(value: number): string {
  const hundredths = Math.round(Math.max(0, value) * 100)
  const whole = Math.floor(hundredths / 100)
  return `${whole}${DECIMALS[hundredths - whole * 100]}`
}

const DECIMALS = Array.from({ length: 100 }, (_, hundredths) => `.${String(hundredths).padStart(2, '0')}`)
