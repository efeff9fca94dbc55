import type { Live } from '#core/attempt.ts'
import type { Endpoint } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import { formatUsd } from '#core/money.ts'
import { isPriority, PRIORITIES, type Priority } from '#core/priority.ts'
import type { RequestRecord } from '#core/record.ts'
import type { ModelRequest } from '#gateway/pipeline.ts'
import { priorityOf, type Wishes } from '#gateway/wishes.ts'
import { parseTraceparent } from '#lib/traceparent.ts'
import { disableIdleTimeout } from '../active.ts'
import { readBody } from '../body.ts'
import type { Exchange, Handler } from '../exchange.ts'
import { cacheWishesOf, writeCacheHeaders } from '../middleware/cache.ts'
import { claimKey, replay } from '../middleware/idempotency.ts'
import { noteEnd } from '../middleware/observe.ts'
import { writeLimitHeaders } from '../middleware/rate-limit.ts'
import { eventStream, json } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf } from '../tenant.ts'

/** Creates the handler of an endpoint that calls a model: it reads the request, hands it to the pipeline, and writes the
 * headers and the answer. */
export function modelCall(endpoint: Endpoint, services: Services): Handler {
  return async c => {
    const exchange = c.env
    const { record, scope, request } = exchange
    const caller = callerOf(c)
    const traceparent = request.headers.get('traceparent')
    if (traceparent !== null) record.traceparent = parseTraceparent(traceparent)
    record.session = request.headers.get('x-citadel-session')
    const wishes = wishesOf(request.headers)
    if (wishes.strategy !== null) checkMayChooseStrategy(exchange, caller)
    const refusal = services.load.refusal(priorityOf(caller, wishes))
    if (refusal !== null) throw refusal
    const text = await readBody(exchange, services.clock, services.load.bodies)
    const claim = claimKey(exchange, services.idempotency, { endpoint, text })
    const keyed = claim === null ? null : await claim
    if (keyed !== null && keyed.answer !== null) {
      services.journal.note({ type: 'answer-replayed' })
      return replay(exchange, keyed.answer)
    }
    let early = false
    let over = false
    try {
      const { live, body, limits } = await services.run({
        endpoint,
        text,
        caller,
        record,
        scope,
        wishes,
        headers: forwardedHeaders(request.headers, services.passedHeaders),
        cache: cacheWishesOf(request.headers, keyed !== null),
        onStreamEnd: () => {
          over = true
          endStream(exchange, services, early)
        },
      })
      early = live === null
      if (live !== null) {
        writeServerHeaders(exchange, live, services.clock.now())
        if (record.cache !== null) writeCacheHeaders(exchange, record.cache)
      }
      if (limits !== null) writeLimitHeaders(exchange, limits)
      if (typeof body === 'string') {
        keyed?.keep(body)
        return json(exchange, body)
      }
      disableIdleTimeout(exchange)
      // A request that ended before the stream was handed over is settled like a plain one.
      exchange.streaming = !over
      return eventStream(exchange, keyed?.record(body) ?? body)
    } catch (thrown) {
      keyed?.release()
      throw thrown
    }
  }
}

/** Writes headers that say which server answered and at which attempt; with `headers: full` also how long it took and
 * what it cost. */
function writeServerHeaders({ headers, record, edge }: Exchange, live: Live, now: number): void {
  headers['x-citadel-model'] = toHeaderValue(live.model.name)
  headers['x-citadel-server'] = live.target.server.id
  headers['x-citadel-attempts'] = String(record.attempts.length)
  for (const { result, dropped } of record.attempts) {
    if (result === 'ok' && dropped !== undefined) headers['x-citadel-dropped-parameters'] = toHeaderList(dropped)
  }
  if (!edge.fullHeaders) return
  writeTimeHeaders(headers, record, now)
  // The cost of a stream is not known yet.
  if (record.costNano !== null && record.answeredAt > 0) headers['x-citadel-cost'] = formatUsd(record.costNano)
}

/** A name as a header can have it. Headers take ASCII only, and the names that servers give to their models may have any
 * characters. */
function toHeaderValue(name: string): string {
  return ASCII.test(name) ? name : encodeURI(name.toWellFormed())
}

const ASCII = /^[\x20-\x7e]*$/

/** Names of parameters as a header can have them. Some are the caller's own words and may be no names at all: those are
 * left out. */
function toHeaderList(names: readonly string[]): string {
  const fit = names.filter(name => PARAMETER.test(name))
  return fit.slice(0, NAMES_MAX).join(', ')
}

const PARAMETER = /^[\w.[\]-]{1,64}$/
const NAMES_MAX = 20

/** Writes into headers where the time went until now: in the gateway, waiting for a place, and at the server. An answer
 * for which no server was asked has none of them. */
function writeTimeHeaders(headers: Record<string, string>, record: RequestRecord, now: number): void {
  if (record.dialledAt === 0) return
  const { startedNow, dialledAt, queueMs } = record
  // Later attempts may have waited too, while a server had been asked.
  const own = Math.max(0, dialledAt - startedNow - queueMs)
  const upstream = (record.answeredAt || now) - dialledAt
  const queue = queueMs > 0 ? ` queue;dur=${queueMs.toFixed(1)},` : ''
  headers['x-citadel-overhead-ms'] = (own + now - dialledAt - upstream).toFixed(1)
  headers['server-timing'] = `gateway;dur=${own.toFixed(1)},${queue} upstream;dur=${upstream.toFixed(1)}`
}

/** Notes the end of a stream.
 *
 * @param early Whether its headers were sent before there was an answer. If there was none in the end, the record gets the
 * status of the error instead of the 200 that was sent. */
function endStream(exchange: Exchange, services: Services, early: boolean): void {
  const { record } = exchange
  const handedOver = exchange.streaming && record.status !== 0
  exchange.streaming = false
  if (!handedOver) return
  if (early && record.error !== null && record.contentFrames === 0) record.status = record.error.status
  noteEnd(exchange, services)
}

/** The headers that are passed on to model servers; `undefined` for most requests, which have none of them. */
function forwardedHeaders(headers: Headers, names: readonly string[]): ModelRequest['headers'] {
  let passed: Record<string, string> | undefined
  for (const name of names) {
    const value = headers.get(name)
    if (value === null) continue
    passed ??= {}
    passed[name] = value
  }
  return passed
}

/** Checks that the caller may choose a strategy, and with it how the servers are used: where keys are in use, anonymous
 * callers may not.
 *
 * @throws GatewayError `permission_denied`. */
function checkMayChooseStrategy({ edge }: Exchange, caller: Caller): void {
  if (caller.role !== 'anonymous' || edge.authMode() === 'none') return
  throw new GatewayError('permission_denied', 'The header x-citadel-strategy needs a key.', {
    param: 'x-citadel-strategy',
  })
}

const NO_WISHES: Wishes = {
  server: null,
  strategy: null,
  timeoutMs: null,
  firstTokenMs: null,
  idleMs: null,
  maxAttempts: null,
  priority: null,
}

function wishesOf(headers: Headers): Wishes {
  const server = headers.get('x-citadel-server')
  const strategy = headers.get('x-citadel-strategy')
  const timeout = headers.get('x-citadel-timeout-ms')
  const firstToken = headers.get('x-citadel-first-token-ms')
  const idle = headers.get('x-citadel-idle-ms')
  const attempts = headers.get('x-citadel-max-attempts')
  const priority = headers.get('x-citadel-priority')
  if ((server ?? strategy ?? timeout ?? firstToken ?? idle ?? attempts ?? priority) === null) return NO_WISHES
  return {
    server,
    strategy,
    timeoutMs: positiveInteger('x-citadel-timeout-ms', timeout),
    firstTokenMs: positiveInteger('x-citadel-first-token-ms', firstToken),
    idleMs: positiveInteger('x-citadel-idle-ms', idle),
    maxAttempts: positiveInteger('x-citadel-max-attempts', attempts),
    priority: priority === null ? null : toPriority(priority),
  }
}

function positiveInteger(name: string, value: string | null): number | null {
  if (value === null) return null
  const number = Number(value)
  if (Number.isInteger(number) && number > 0) return number
  throw new GatewayError('invalid_request', `The header ${name} must be a positive whole number.`, { param: name })
}

function toPriority(value: string): Priority {
  const name = value.trim().toLowerCase()
  if (isPriority(name)) return name
  throw new GatewayError('invalid_request', `The header x-citadel-priority must be one of ${PRIORITIES.join(', ')}.`, {
    param: 'x-citadel-priority',
  })
}
