import type { Clock } from '#core/clock.ts'
import type { Fact } from '#core/journal.ts'
import type { RequestRecord } from '#core/record.ts'
import { createRedactor, printable, quote } from './quote.ts'
import { createFieldWriters, isFailure, prettyRequestLine, requestLine } from './request-line.ts'
import { createSink } from './sink.ts'

type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The fields of an event. */
type LogFields = Readonly<Record<string, string | number | boolean | null>>

export interface LogOptions {
  /** Writes whole lines; may throw. */
  readonly write: (text: string) => void
  readonly clock: Clock
  readonly level: LogLevel
  readonly service: string
  /** The name of the installation; the field is left out when absent. */
  readonly environment?: string | null
  /** Secrets, which are replaced wherever they appear. */
  readonly redact?: readonly string[]
  /** Lines for people instead of JSON, each written at once. */
  readonly pretty?: boolean
}

/** The log. It never contains prompts or answers. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  /** Written at once, not buffered. */
  error(message: string, fields?: LogFields): void
  /** Writes one line for each request, and one for each event that an operator wants to know of. */
  subscriber(fact: Fact): void
  /** Applies new settings after a reload of the configuration. */
  configure(settings: Pick<LogOptions, 'level' | 'service' | 'environment' | 'redact'>): void
  flush(): void
  close(): void
  /** How many lines could not be written. */
  dropped(): number
}

/** The line of a process that was told to stop. */
export const STOPPING = 'stopping; a second signal ends running requests at once'

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/** Creates the log: JSON lines, buffered for a tenth of a second. */
export function createLog(options: LogOptions): Log {
  const { clock, pretty = false } = options
  const sink = createSink(options.write, clock)
  const stamp = createStamp(clock)
  let least = RANK[options.level]
  let redact = createRedactor(options.redact ?? [])
  let writers = createFieldWriters(redact)
  const field = (text: string) => quote(redact(text))

  let head = createHead(stamp, options)

  function event(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (RANK[level] < least) return
    if (pretty) sink.add(prettyEvent(stamp(), level, message, fields, redact))
    else {
      let line = `${head(level)},"message":${field(message)}`
      for (const [name, value] of Object.entries(fields)) {
        line += `,${quote(name)}:${typeof value === 'string' ? field(value) : value}`
      }
      sink.add(`${line}}`)
    }
    if (pretty || level === 'error') sink.flush()
  }

  function request(record: RequestRecord): void {
    const level = isFailure(record) ? 'error' : 'info'
    if (RANK[level] < least) return
    if (pretty) {
      sink.add(prettyRequestLine(stamp().slice(11, 19), record, redact))
      sink.flush()
    } else sink.add(requestLine(head(level), record, writers))
  }

  return {
    debug: (message, fields) => event('debug', message, fields),
    info: (message, fields) => event('info', message, fields),
    warn: (message, fields) => event('warn', message, fields),
    error: (message, fields) => event('error', message, fields),
    subscriber(fact) {
      if (fact.type === 'request-settled') return request(fact.record)
      const line = logEventOf(fact)
      if (line !== null) event(...line)
    },
    configure(settings) {
      least = RANK[settings.level]
      redact = createRedactor(settings.redact ?? [])
      head = createHead(stamp, settings)
      writers = createFieldWriters(redact)
    },
    flush: sink.flush,
    close: sink.close,
    dropped: () => sink.dropped,
  }
}

/** A call of the database that takes at least so long is logged, in milliseconds. */
const SLOW_DATABASE_MS = 500

/** A log line of an event: its level, message and fields. */
type LogEvent = readonly [level: LogLevel, message: string, fields?: LogFields]

/** The line of an event that is no request; `null` for what is not logged. */
function logEventOf(fact: Fact): LogEvent | null {
  switch (fact.type) {
    case 'fallback-taken':
      return ['info', 'fallback taken', { from: fact.from, to: fact.to, reason: fact.reason }]
    case 'config-reloaded':
      if (fact.heard === true) return null
      return fact.ok
        ? ['info', 'configuration reloaded', { detail: fact.message }]
        : ['error', 'configuration not reloaded', { detail: fact.message }]
    case 'event-delivered':
      return fact.result === 'lost' ? ['error', 'an event could not be delivered'] : null
    case 'webhook-received':
      return [fact.ok ? 'info' : 'warn', fact.ok ? 'webhook received' : 'webhook refused', { webhook: fact.webhook }]
    case 'database-called': {
      const { operation, ok, ms } = fact
      return ms < SLOW_DATABASE_MS ? null : ['warn', 'slow database', { operation, ok, ms: Math.round(ms) }]
    }
    case 'rows-delayed':
      return ['warn', 'rows wait for the database', { waiting: fact.waiting, reason: fact.reason }]
    case 'rows-taken-again':
      return ['info', 'the database takes rows again']
    case 'rows-lost':
      return ['error', 'rows are lost: neither the database nor the disk took them', { count: fact.count }]
    case 'dependency-changed': {
      const { dependency, available, reason } = fact
      return [available ? 'info' : 'error', available ? 'dependency back' : 'dependency away', { dependency, reason }]
    }
    case 'administered': {
      const { action, subject, tenant, by } = fact
      return ['info', 'administered', { action, subject, tenant, by }]
    }
    default:
      return fleetEventOf(fact)
  }
}

/** The line of an event of servers and targets; `null` for what is not logged. */
function fleetEventOf(fact: Fact): LogEvent | null {
  switch (fact.type) {
    case 'health-changed': {
      const { server, from, to, reason, heard = false } = fact
      // The process that saw the change has logged it.
      if (heard) return null
      const level = to === 'unhealthy' || to === 'degraded' ? 'warn' : 'info'
      return [level, 'server health changed', { server, from, to, reason }]
    }
    case 'breaker-opened': {
      const { server, model, reason, ms } = fact
      return ['warn', 'circuit breaker opened', { server, model, reason, seconds: Math.round(ms / 1000) }]
    }
    case 'breaker-closed':
      return ['info', 'circuit breaker closed', { server: fact.server, model: fact.model }]
    case 'credential-refused':
      return ['error', 'a credential was refused', { server: fact.server, model: fact.model, left: fact.left }]
    case 'fleet-changed':
      return ['info', 'fleet changed', { detail: fact.message }]
    case 'server-registered':
      return ['info', 'server registered', { server: fact.server, address: fact.address, by: fact.by }]
    case 'server-departed':
      return ['warn', 'server departed', { server: fact.server, reason: fact.reason }]
    case 'server-drained':
      return ['warn', 'server drained', { server: fact.server, by: fact.by }]
    case 'server-recovered':
      return ['info', 'server takes requests again', { server: fact.server, by: fact.by }]
    default:
      return null
  }
}

function prettyEvent(
  time: string,
  level: LogLevel,
  message: string,
  fields: LogFields,
  redact: (text: string) => string,
): string {
  const rest = Object.entries(fields).flatMap(([name, value]) => (value === null ? [] : `${name}=${value}`))
  const parts = [time.slice(11, 19), level.toUpperCase(), message, ...rest]
  return parts.map(part => printable(redact(part))).join('  ')
}

/** Creates the function that gives the time as ISO 8601; the text is reused within a millisecond. */
function createStamp(clock: Clock): () => string {
  let last = -1
  let text = ''
  return () => {
    const now = Math.floor(clock.time())
    if (now !== last) {
      last = now
      text = new Date(now).toISOString()
    }
    return text
  }
}

/** Creates the function that writes the fields that every line begins with; the text is reused within a millisecond. */
function createHead(
  stamp: () => string,
  { service, environment = null }: Pick<LogOptions, 'service' | 'environment'>,
): (level: LogLevel) => string {
  const name = quote(service) + (environment === null ? '' : `,"environment":${quote(environment)}`)
  let [time, level, head] = ['', '', '']
  return current => {
    const now = stamp()
    if (now === time && current === level) return head
    time = now
    level = current
    head = `{"time":"${now}","level":"${current}","service":${name}`
    return head
  }
}
