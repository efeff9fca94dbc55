import type { Clock } from '#core/clock.ts'
import { type CursorStore, type EventStore, type FleetEvent, firstIdAt } from '#core/events.ts'
import type { Fact, Journal } from '#core/journal.ts'
import { sha256 } from '#lib/hash.ts'
import { signWebhook } from '#lib/standard-webhooks.ts'

/** Where events are delivered. */
export interface Endpoint {
  readonly url: string
  /** The types of events to deliver; `null` = all. */
  readonly events: readonly string[] | null
  /** The key that messages are signed with; `null` = they are not signed. */
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
  /** Posts one message.
   *
   * @returns The HTTP status.
   * @throws when there is no answer. */
  readonly post: (url: string, headers: Readonly<Record<string, string>>, body: string) => Promise<number>
}

/** Delivers events to webhooks in the background. */
export interface Delivery {
  /** Starts delivery to the configured endpoints; call it again after a reload, for new ones. */
  start(): void
  subscriber(fact: Fact): void
  /** Resolves when no message is in flight, and ends the leases, so that others can go on at once; else after two seconds. */
  stop(): Promise<void>
}

/** How far the delivery to one endpoint is. */
interface EndpointState {
  /** The key of its cursor in the store: the SHA-256 of the URL. */
  readonly name: string
  /** Where an endpoint without a cursor begins: after this id. */
  readonly first: string
  /** The last event that was delivered or given up; `null` while another process delivers to this endpoint. */
  after: string | null
  /** When the lease was last renewed, in monotonic milliseconds. */
  claimedAt: number
  waiting: readonly FleetEvent[]
  /** Failed attempts for the first waiting event. */
  attempts: number
  /** When the first waiting event may be tried again, in monotonic milliseconds. */
  notBefore: number
  /** The run of `deliverDue` in progress. */
  busy: Promise<void> | null
  disarm: () => void
}

const ATTEMPTS_MAX = 8
const FIRST_WAIT_MS = 1000
const WAIT_MAX_MS = 300_000
const LOOK_EVERY_MS = 1000
/** The lease on an endpoint: how long it lasts, and how often its owner renews it and other processes try to get it. */
const LEASE_MS = 15_000
const RENEW_MS = 4000
/** How long a stop waits for the answer to a message and for the store, in milliseconds. */
const STOP_MS = 2000
const PAGE = 100
/** Events that are older than this are not delivered any more, so that an endpoint that was down for days is not flooded. */
const AGE_MAX_MS = 24 * 3_600_000

/** Creates the delivery. Each endpoint gets its events in order, from one process at a time. That process stores a cursor,
 * so that another one can take over where it was. An endpoint that fails delays only its own events. An event is given up,
 * and counted as lost, after eight failed attempts (about one to two minutes). */
export function createDelivery(options: DeliveryOptions): Delivery {
  const { clock, cursors, journal, owner } = options
  const states = new Map<string, EndpointState>()
  let stopped = false
  let isOver = false

  function stateOf(url: string): EndpointState {
    const state = states.get(url) ?? newState(url, clock)
    states.set(url, state)
    return state
  }

  function wake(endpoint: Endpoint): void {
    const state = stateOf(endpoint.url)
    state.disarm()
    if (stopped || state.busy !== null) return
    state.busy = deliverDue(endpoint, state)
      .catch(() => LOOK_EVERY_MS)
      .then(wait => {
        state.busy = null
        if (!stopped) state.disarm = clock.after(wait, () => wakeAgain(endpoint.url))
      })
  }

  /** Goes on with the endpoint as it is configured now, or forgets it when it was removed. */
  function wakeAgain(url: string): void {
    const endpoint = options.endpoints().find(each => each.url === url)
    if (endpoint !== undefined) wake(endpoint)
    else states.delete(url)
  }

  /** Delivers all events that are due.
   *
   * @returns After how many milliseconds to run again. */
  async function deliverDue(endpoint: Endpoint, state: EndpointState): Promise<number> {
    while (!stopped) {
      if (!(await claim(state))) return RENEW_MS
      const event = state.waiting[0] ?? (await nextPage(state, endpoint))
      if (event === undefined) return LOOK_EVERY_MS
      const wait = state.notBefore - clock.now()
      if (wait > 0) return Math.min(wait, RENEW_MS)
      const result = clock.time() - event.at > AGE_MAX_MS ? 'lost' : await attempt(endpoint, state, event)
      journal.note({ type: 'event-delivered', result })
      if (result !== 'retried') await finish(state, event)
    }
    return LOOK_EVERY_MS
  }

  /** Gets or renews the lease on an endpoint; false = another process has it. */
  async function claim(state: EndpointState): Promise<boolean> {
    if (state.after !== null && clock.now() - state.claimedAt < RENEW_MS) return true
    state.claimedAt = clock.now()
    const now = clock.time()
    const after = await cursors.claim(state.name, owner, { now, until: now + LEASE_MS, first: state.first })
    if (after === null) return forgetProgress(state)
    if (state.after === null || state.after < after) {
      // Another process has delivered events since.
      forgetProgress(state)
      state.after = after
    }
    // The store did not answer when this process finished an event: store the cursor now.
    if (state.after !== after) await cursors.advance(state.name, owner, state.after, now + LEASE_MS)
    return true
  }

  /** Reads the next events to deliver, past those that the endpoint does not want, for as long as it is this process's. */
  async function nextPage(state: EndpointState, { events }: Endpoint): Promise<FleetEvent | undefined> {
    while (state.after !== null) {
      const page = await options.events.list({ after: state.after, limit: PAGE })
      state.waiting = page.filter(({ type }) => events?.includes(type) ?? true)
      const last = page.at(-1)
      if (state.waiting.length > 0 || last === undefined) return state.waiting[0]
      await advance(state, last.id)
    }
    return undefined
  }

  /** Moves on after an event that was delivered or given up. */
  async function finish(state: EndpointState, { id }: FleetEvent): Promise<void> {
    state.waiting = state.waiting.slice(1)
    state.attempts = 0
    state.notBefore = 0
    await advance(state, id)
  }

  /** Moves the cursor to an event. `after` is set first: if the store fails, this process does not deliver it again. */
  async function advance(state: EndpointState, id: string): Promise<void> {
    state.after = id
    if (!(await cursors.advance(state.name, owner, id, clock.time() + LEASE_MS))) forgetProgress(state)
  }

  /** Drops the progress known here, because another process delivers now. */
  function forgetProgress(state: EndpointState): false {
    state.after = null
    state.waiting = []
    state.attempts = 0
    state.notBefore = 0
    return false
  }

  async function attempt(
    endpoint: Endpoint,
    state: EndpointState,
    event: FleetEvent,
  ): Promise<'ok' | 'retried' | 'lost'> {
    if (await isTaken(endpoint, event)) return 'ok'
    state.attempts++
    if (state.attempts === ATTEMPTS_MAX) return 'lost'
    const longest = Math.min(WAIT_MAX_MS, FIRST_WAIT_MS * 2 ** (state.attempts - 1))
    state.notBefore = clock.now() + longest / 2 + (options.random() * longest) / 2
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

  async function leave(state: EndpointState): Promise<void> {
    state.disarm()
    await state.busy
    if (state.after !== null && !isOver) await cursors.advance(state.name, owner, state.after, 0).catch(() => false)
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
      const { promise: late, resolve } = Promise.withResolvers<void>()
      const cancel = clock.after(STOP_MS, resolve)
      await Promise.race([Promise.all([...states.values()].map(leave)), late])
      cancel()
      isOver = true
    },
  }
}

function newState(url: string, clock: Clock): EndpointState {
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

/** Makes the message of an event, in the form that https://www.standardwebhooks.com recommends. */
function toMessage({ type, at, id, server, data }: FleetEvent): object {
  return { type, timestamp: new Date(at).toISOString(), data: { id, server, ...data } }
}
