import type { AttemptEntry } from '#core/attempt.ts'
import { freeOutcome, type RequestRecord } from '#core/record.ts'
import { createNameWriter, printable, quote } from './quote.ts'
import { overheadMs } from './request-metrics.ts'

const CAUSE_MAX = 300
/** Longer stories are cut before anything is looked for in them. */
const CAUSE_READ_MAX = 16 * 1024

/** Takes secrets out of a text. */
export type Redact = (text: string) => string

/** How texts and names are written. */
export interface FieldWriters {
  readonly redact: Redact
  readonly name: (name: string | null) => string
  /** The fields of the way that a request takes, behind a comma. */
  readonly routeFields: (record: RequestRecord) => string
  /** The fields of who has sent it, behind a comma. */
  readonly callerFields: (record: RequestRecord) => string
}

const REMEMBERED_MAX = 1000

/** Creates the writer of lines. The same routes and callers come again with every request, so that what is written of
 * them is remembered: a line of many pieces costs as much to put together as the rest of it. */
export function createFieldWriters(redact: Redact): FieldWriters {
  const name = createNameWriter(redact)
  const routes = new Map<string, { readonly method: string; readonly text: string }>()
  const callers = new Map<string, { readonly tenant: string | null; readonly text: string }>()

  function routeFields({ method, path, route }: RequestRecord): string {
    // What equals its route is the gateway's own word; there are no more of these than routes.
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

/** Writes the log line of a request from its record, behind the fields that every line has.
 *
 * A template, because building an object and serialising it costs several times as much for the one line that every
 * request has. Only texts that come from outside are quoted with care; the others are the gateway's own words. */
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
    if (attempts.length > 1 || attempts[0]?.result !== 'ok') line += attemptList(attempts)
  }
  if (usage !== null) {
    const input = usage.input + usage.cacheRead + usage.cacheWrite
    line += `,"tokens_in":${input},"tokens_out":${usage.output},"estimated":${usage.estimated}`
    // Who leaves early is `cancelled`, whoever pays.
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

/** The same for people who watch a terminal. */
export function prettyRequestLine(time: string, record: RequestRecord, redact: Redact): string {
  const took = `${Number(ms(record.endedAt - record.startedNow))} ms`
  const parts = [time, record.method, redact(pathOf(record.path)), String(record.status), took]
  if (record.model !== null) parts.push(`${record.model} → ${record.server ?? '-'}`)
  if (record.attempts.length > 1) parts.push(`${record.attempts.length} attempts`)
  if (record.usage !== null) parts.push(`${record.usage.input}+${record.usage.output} tokens`)
  if (record.code !== null) parts.push(record.code)
  const cause = causeText(record, redact)
  if (cause !== null) parts.push(cause)
  return parts.map(printable).join('  ')
}

/** The private story behind a failure that is not the caller's, short enough not to carry a prompt along. */
function causeText(record: RequestRecord, redact: Redact): string | null {
  if (record.status < 500 || record.error === null) return null
  const { cause } = record.error
  if (cause === undefined || cause === null) return null
  const whole =
    cause instanceof Error ? (cause.stack ?? String(cause)) : typeof cause === 'string' ? cause : json(cause)
  return redact(whole.slice(0, CAUSE_READ_MAX)).slice(0, CAUSE_MAX)
}

function json(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return String(value)
  }
}

function attemptList(attempts: readonly AttemptEntry[]): string {
  return attempts.length === 0 ? '' : `,"attempt_list":[${attempts.map(attemptText).join(',')}]`
}

function attemptText(attempt: AttemptEntry): string {
  return `{"server":${quote(attempt.server)},"result":${text(attempt.result)},"ms":${ms(attempt.ms)}}`
}

function pathOf(path: string): string {
  const query = path.indexOf('?')
  return query < 0 ? path : path.slice(0, query)
}

function text(value: string | null): string {
  return value === null ? 'null' : quote(value)
}

/** Milliseconds with two decimals: from two whole numbers, because writing a fraction takes three times as long. */
function ms(value: number): string {
  const hundredths = Math.round(Math.max(0, value) * 100)
  const whole = Math.floor(hundredths / 100)
  return `${whole}${DECIMALS[hundredths - whole * 100]}`
}

const DECIMALS = Array.from({ length: 100 }, (_, hundredths) => `.${String(hundredths).padStart(2, '0')}`)
