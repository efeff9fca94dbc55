import { GatewayError } from '#core/errors.ts'
import { type FleetEvent, firstIdAt } from '#core/events.ts'
import { databaseAway } from '#gateway/management/reached.ts'
import { PING } from '#gateway/outlet.ts'
import { disableIdleTimeout } from '../active.ts'
import type { Edge } from '../edge.ts'
import type { Exchange, Handler } from '../exchange.ts'
import { noteEnd } from '../middleware/observe.ts'
import { onlyParams, queryParam } from '../query.ts'
import { eventStream } from '../reply.ts'
import type { Services } from '../services.ts'

const HEARTBEAT_MS = 5_000
const PAGE = 200
/** How many events a client may be behind before its stream is closed; it connects again with its last id. */
const BEHIND_MAX = 1000
const ID = /^[0-9a-f-]{36}$/

/** `GET /orchestration/events`: the events of the fleet as server-sent events; with `last-event-id`, all events after
 * that one first. */
export function fleetEvents(services: Services): Handler {
  return async c => {
    // What replaces a browser's own EventSource, to send a key, adds the last id to the query in these letters.
    onlyParams(c, 'after', 'lastEventId')
    const exchange = c.env
    const after =
      exchange.request.headers.get('last-event-id') ?? queryParam(c, 'lastEventId') ?? queryParam(c, 'after')
    if (after !== null && !ID.test(after)) {
      throw new GatewayError('invalid_request', 'last-event-id must be the id of an event.', { param: 'last-event-id' })
    }
    // No stream for HEAD: it would never end.
    if (exchange.record.method === 'HEAD') return eventStream(exchange, '')
    const follower = createFollower(services)
    const begun = { after: firstIdAt(exchange.record.startedAt), missed: [], whole: true }
    const from = (after === null ? null : await missedSince(after, services, follower.stop)) ?? begun
    disableIdleTimeout(exchange)
    exchange.streaming = true
    return eventStream(
      exchange,
      follower.stream(from, exchange, () => end(exchange, services)),
    )
  }
}

/** The events that a client has missed since an id; `whole` is false when there are more than are sent at once. */
interface Missed {
  readonly after: string
  readonly missed: readonly FleetEvent[]
  readonly whole: boolean
}

/** Reads the events since an id. The caller follows new events already, so that none is lost in between.
 *
 * @returns `null` for an id that lies ahead of all events, such as that of another gateway, or of a database that was
 * replaced since: a client that waited for what follows it would wait for as long as it lies ahead. */
async function missedSince(after: string, { events, clock }: Services, stop: () => void): Promise<Missed | null> {
  try {
    // Only the last event itself may lie ahead, where the clock of another process does.
    const isAhead = after > firstIdAt(clock.time()) && (await events.since(after.slice(0, -1), 1)).length === 0
    if (isAhead) return null
    const missed: FleetEvent[] = []
    for (let last = after; ; ) {
      const page = await events.since(last, PAGE)
      missed.push(...page)
      const end = page.at(-1)
      if (end === undefined || page.length < PAGE) return { after, missed, whole: true }
      if (missed.length >= BEHIND_MAX) return { after, missed, whole: false }
      last = end.id
    }
  } catch (thrown) {
    stop()
    throw databaseAway(thrown)
  }
}

/** Follows events from now on, and keeps those that come before there is a stream to write to. */
function createFollower({ events, clock, serving, edge }: Services) {
  const early: FleetEvent[] = []
  let take = (event: FleetEvent): void => void early.push(event)
  const stop = events.follow(event => take(event))

  function stream({ after, missed, whole }: Missed, exchange: Exchange, ended: () => void): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder()
    let sent = after
    let over = false
    let disarm = () => {}
    let forgetScope = () => {}
    const finish = () => {
      over = true
      take = () => {}
      stop()
      disarm()
      forgetScope()
      ended()
    }
    return new ReadableStream<Uint8Array>({
      start(controller) {
        const write = (text: string) => controller.enqueue(encoder.encode(text))
        const close = () => {
          if (over) return
          finish()
          controller.close()
        }
        const beat = () => {
          // A gateway that stops waits for all requests, and this one would not end by itself.
          if (!serving()) return close()
          write(PING)
          disarm = clock.after(HEARTBEAT_MS, beat)
          void mayStay(exchange, edge()).then(may => may || close())
        }
        take = event => {
          if (event.id <= sent) return
          sent = event.id
          write(toText(event))
          if ((controller.desiredSize ?? 0) < -BEHIND_MAX) close()
        }
        write(': connected\n\n')
        for (const event of missed) take(event)
        // Closed, because newer events would hide the missing ones: the client gets those when it connects again with
        // its last id.
        if (!whole) return close()
        for (const event of early) take(event)
        disarm = clock.after(HEARTBEAT_MS, beat)
        forgetScope = exchange.scope.onEnd(close)
      },
      cancel: finish,
    })
  }

  return { stop, stream }
}

/** Whether the client may still follow: its key may have been revoked, expired or removed from the configuration, and
 * this stream has no end of its own. Checked without an address, because a key that was accepted is no guess. Stays
 * open while keys cannot be checked. */
async function mayStay({ request }: Exchange, edge: Edge): Promise<boolean> {
  const found = await edge.identify(request.headers, '', 'observer')
  const refusal = found instanceof GatewayError ? found : edge.authorize(found, 'observer')
  return refusal === null || (refusal.status !== 401 && refusal.status !== 403)
}

function end(exchange: Exchange, services: Services): void {
  exchange.streaming = false
  if (exchange.record.status !== 0) noteEnd(exchange, services)
}

function toText({ id, type, at, server, data }: FleetEvent): string {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ id, type, at: new Date(at).toISOString(), server, data })}\n\n`
}
