import { GatewayError } from '#core/errors.ts'
import { type FleetEvent, firstIdAt } from '#core/events.ts'
import { databaseAway } from '#gateway/management/reached.ts'
import { PING } from '#gateway/outlet.ts'
import { disableIdleTimeout } from '../active.ts'
import type { Edge } from '../edge.ts'
import type { Exchange, Handler } from '../exchange.ts'
import { noteEnd } from '../middleware/observe.ts'
import { queryParam } from '../query.ts'
import { eventStream } from '../reply.ts'
import type { Services } from '../services.ts'

const HEARTBEAT_MS = 5_000
const PAGE = 200
/** A follower that is further behind than this is cut off; it comes back with its last id. */
const BEHIND_MAX = 1000
const ID = /^[0-9a-f-]{36}$/

/** `GET /orchestration/events`: what happens to the fleet, as server-sent events; with `last-event-id` from there on. */
export function fleetEvents(services: Services): Handler {
  return async c => {
    const exchange = c.env
    const after = exchange.request.headers.get('last-event-id') ?? queryParam(c, 'after')
    if (after !== null && !ID.test(after)) {
      throw new GatewayError('invalid_request', 'last-event-id must be the id of an event.', { param: 'last-event-id' })
    }
    // Nobody would read what follows: it would go on for ever.
    if (exchange.record.method === 'HEAD') return eventStream(exchange, '')
    const follower = createFollower(services)
    const missed = after === null ? NOTHING : await missedSince(after, services, follower.stop)
    disableIdleTimeout(exchange)
    exchange.streaming = true
    const from = { after: after ?? firstIdAt(exchange.record.startedAt), ...missed }
    return eventStream(
      exchange,
      follower.stream(from, exchange, () => end(exchange, services)),
    )
  }
}

/** What a follower has missed; not `whole` when that is more than is told at once. */
interface Missed {
  readonly missed: readonly FleetEvent[]
  readonly whole: boolean
}

const NOTHING: Missed = { missed: [], whole: true }

/** What happened since; followed already, so that nothing is lost in between. */
async function missedSince(after: string, { events }: Services, stop: () => void): Promise<Missed> {
  try {
    const missed: FleetEvent[] = []
    for (let last = after; ; ) {
      const page = await events.since(last, PAGE)
      missed.push(...page)
      const end = page.at(-1)
      if (end === undefined || page.length < PAGE) return { missed, whole: true }
      if (missed.length >= BEHIND_MAX) return { missed, whole: false }
      last = end.id
    }
  } catch (thrown) {
    stop()
    throw databaseAway(thrown)
  }
}

/** Follows from now on; what comes before there is a stream to write to is kept for it. */
function createFollower({ events, clock, serving, edge }: Services) {
  const early: FleetEvent[] = []
  let take = (event: FleetEvent): void => void early.push(event)
  const stop = events.follow(event => take(event))

  function stream(
    { after, missed, whole }: Missed & { readonly after: string },
    exchange: Exchange,
    ended: () => void,
  ): ReadableStream<Uint8Array> {
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
          // A gateway that stops waits for every request, and this one would never end by itself.
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
        // What comes now would hide the rest: it gets that when it comes back with its last id.
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

/** Whether who follows could still begin to: keys are revoked, expire and are taken out of the configuration, and this
 * stream has no end of its own. Who shows a key that was good is not guessing, from whatever address; and who cannot be
 * told from a stranger for the moment stays. */
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
