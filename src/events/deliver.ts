import type { Clock } from '#core/clock.ts'
import { type CursorStore, type EventStore, type FleetEvent, firstIdAt } from '#core/events.ts'
import type { Fact, Journal } from '#core/journal.ts'
import { sha256 } from '#lib/hash.ts'
import { signWebhook } from '#lib/standard-webhooks.ts'

/** Where events are delivered. */
export interface Endpoint {
  readonly url: string
  /** Which types; `null` = all. */
  readonly events: readonly string[] | null
  /** Signs what is sent; `null` = nothing does. */
  readonly secret: string | null
}

export interface DeliveryOptions {
  readonly clock: Clock
  readonly journal: Journal
  readonly random: () => number
  readonly endpoints: () => readonly Endpoint[]
  readonly events: Pick<EventStore, 'list'>
  readonly cursors: CursorStore
  /** The name of this process. */
  readonly owner: string
  /** Sends one message.
   *
   * @returns The HTTP status.
   * @throws when nobody answered. */
  readonly post: (url: string, headers: Readonly<Record<string, string>>, body: string) => Promise<number>
}

/** Delivers events to webhooks, beside everything else. */
export interface Delivery {
  /** Begins, also with endpoints that a new configuration has brought. */
  start(): void
  subscriber(fact: Fact): void
  /** Resolves when no message is under way; others may go on at once. */
  stop(): Promise<void>
}

/** The way to one endpoint. */
interface Line {
  /** What its progress is kept by. */
  readonly name: string
  /** Behind which event it begins when nobody has delivered there before. */
  readonly first: string
  /** The last event that is done with; `null` while another process delivers, as far as is known. */
  after: string | null
  claimedAt: number
  waiting: readonly FleetEvent[]
  /** Tries of the first one that waits. */
  attempts: number
  notBefore: number
  /** The turn that is under way. */
  busy: Promise<void> | null
  disarm: () => void
}

const ATTEMPTS_MAX = 8
const FIRST_WAIT_MS = 1000
const WAIT_MAX_MS = 300_000
const LOOK_EVERY_MS = 1000
/** For how long a process delivers to an endpoint, how often it says that it goes on, and when others ask again. */
const LEASE_MS = 15_000
const RENEW_MS = 4000
const PAGE = 100
/** What is older when its turn comes is lost: an endpoint that comes back after days is not flooded with the past. */
const OLD_MS = 24 * 3_600_000

/** Creates the delivery. Each endpoint gets its events one after the other, from one process at a time, which notes how
 * far it is: who takes over goes on there. One that does not take an event holds up only its own. An event that was
 * refused eight times, over about two minutes and longer, is lost, and counted. */
export function createDelivery(options: DeliveryOptions): Delivery {
  const { clock, cursors, journal, owner } = options
  const lines = new Map<string, Line>()
  let stopped = false

  function lineOf(url: string): Line {
    const line = lines.get(url) ?? newLine(url, clock)
    lines.set(url, line)
    return line
  }

  function wake(endpoint: Endpoint): void {
    const line = lineOf(endpoint.url)
    line.disarm()
    if (stopped || line.busy !== null) return
    line.busy = turn(endpoint, line)
      .catch(() => LOOK_EVERY_MS)
      .then(wait => {
        line.busy = null
        if (!stopped) line.disarm = clock.after(wait, () => again(endpoint.url))
      })
  }

  /** Goes on with what the configuration says now. */
  function again(url: string): void {
    const endpoint = options.endpoints().find(each => each.url === url)
    if (endpoint !== undefined) wake(endpoint)
    else lines.delete(url)
  }

  /** Does what can be done now.
   *
   * @returns When to come back, in milliseconds. */
  async function turn(endpoint: Endpoint, line: Line): Promise<number> {
    while (!stopped) {
      if (!(await claim(line))) return RENEW_MS
      const event = line.waiting[0] ?? (await nextPage(line, endpoint))
      if (event === undefined) return LOOK_EVERY_MS
      const wait = line.notBefore - clock.now()
      if (wait > 0) return Math.min(wait, RENEW_MS)
      const result = clock.time() - event.at > OLD_MS ? 'lost' : await attempt(endpoint, line, event)
      journal.note({ type: 'event-delivered', result })
      if (result !== 'retried') await finish(line, event)
    }
    return LOOK_EVERY_MS
  }

  async function claim(line: Line): Promise<boolean> {
    if (line.after !== null && clock.now() - line.claimedAt < RENEW_MS) return true
    line.claimedAt = clock.now()
    const now = clock.time()
    const after = await cursors.claim(line.name, owner, { now, until: now + LEASE_MS, first: line.first })
    if (after === null) return lose(line)
    if (line.after === null || line.after < after) {
      // Others have delivered since.
      lose(line)
      line.after = after
    }
    // It could not be noted when it was done.
    if (line.after !== after) await cursors.advance(line.name, owner, line.after, now + LEASE_MS)
    return true
  }

  async function nextPage(line: Line, { events }: Endpoint): Promise<FleetEvent | undefined> {
    for (;;) {
      const page = await options.events.list({ after: line.after ?? line.first, limit: PAGE })
      line.waiting = page.filter(({ type }) => events?.includes(type) ?? true)
      const last = page.at(-1)
      if (line.waiting.length > 0 || last === undefined) return line.waiting[0]
      await advance(line, last.id)
    }
  }

  /** The event is done with: delivered, or lost. */
  async function finish(line: Line, { id }: FleetEvent): Promise<void> {
    line.waiting = line.waiting.slice(1)
    line.attempts = 0
    line.notBefore = 0
    await advance(line, id)
  }

  /** Goes on behind an event; while the store is away this process still knows that it is done with. */
  async function advance(line: Line, id: string): Promise<void> {
    line.after = id
    if (!(await cursors.advance(line.name, owner, id, clock.time() + LEASE_MS))) lose(line)
  }

  /** Another process delivers now. */
  function lose(line: Line): false {
    line.after = null
    line.waiting = []
    line.attempts = 0
    line.notBefore = 0
    return false
  }

  async function attempt(endpoint: Endpoint, line: Line, event: FleetEvent): Promise<'ok' | 'retried' | 'lost'> {
    if (await isTaken(endpoint, event)) return 'ok'
    line.attempts++
    if (line.attempts === ATTEMPTS_MAX) return 'lost'
    const longest = Math.min(WAIT_MAX_MS, FIRST_WAIT_MS * 2 ** (line.attempts - 1))
    line.notBefore = clock.now() + longest / 2 + (options.random() * longest) / 2
    return 'retried'
  }

  async function isTaken({ url, secret }: Endpoint, event: FleetEvent): Promise<boolean> {
    const { id } = event
    const body = JSON.stringify(toMessage(event))
    const seconds = Math.floor(clock.time() / 1000)
    const headers = {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(seconds),
      ...(secret !== null && { 'webhook-signature': signWebhook(secret, { id, seconds, body }) }),
    }
    try {
      const status = await options.post(url, headers, body)
      return status >= 200 && status < 300
    } catch {
      return false
    }
  }

  async function leave(line: Line): Promise<void> {
    line.disarm()
    await line.busy
    if (line.after !== null) await cursors.advance(line.name, owner, line.after, 0).catch(() => false)
  }

  const start = () => {
    for (const endpoint of options.endpoints()) wake(endpoint)
  }
  return {
    start,
    subscriber(fact) {
      if (fact.type === 'event-kept') start()
    },
    async stop() {
      stopped = true
      await Promise.all([...lines.values()].map(leave))
    },
  }
}

function newLine(url: string, clock: Clock): Line {
  return {
    name: sha256(url),
    first: firstIdAt(clock.time()),
    after: null,
    claimedAt: 0,
    waiting: [],
    attempts: 0,
    notBefore: 0,
    busy: null,
    disarm: () => {},
  }
}

/** An event as webhooks get it, in the form that https://www.standardwebhooks.com recommends. */
function toMessage({ type, at, id, server, data }: FleetEvent): object {
  return { type, timestamp: new Date(at).toISOString(), data: { id, server, ...data } }
}
