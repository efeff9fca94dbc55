import type { Clock } from '#core/clock.ts'
import type { FleetEvent } from '#core/events.ts'
import type { Fact, Journal } from '#core/journal.ts'
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
  /** Sends one message.
   *
   * @returns The HTTP status.
   * @throws when nobody answered. */
  readonly post: (url: string, headers: Readonly<Record<string, string>>, body: string) => Promise<number>
}

/** Delivers events to webhooks, beside everything else. */
export interface Delivery {
  subscriber(fact: Fact): void
  stop(): void
}

/** Events that wait for one endpoint; more push out the oldest. */
const WAITING_MAX = 1000
const ATTEMPTS_MAX = 8
const FIRST_WAIT_MS = 1000
const WAIT_MAX_MS = 300_000

/** Creates the delivery. Each endpoint gets its events one after the other; one that does not take an event holds up
 * only its own. An event that was refused eight times, over about two minutes and longer, is lost, and counted. */
export function createDelivery(options: DeliveryOptions): Delivery {
  const { clock, journal, random } = options
  const lines = new Map<string, { readonly waiting: FleetEvent[]; busy: boolean }>()
  let stopped = false
  const cancels = new Set<() => void>()

  function add(endpoint: Endpoint, event: FleetEvent): void {
    let line = lines.get(endpoint.url)
    if (line === undefined) {
      line = { waiting: [], busy: false }
      lines.set(endpoint.url, line)
    }
    if (line.waiting.length >= WAITING_MAX) {
      line.waiting.shift()
      journal.note({ type: 'event-delivered', result: 'lost' })
    }
    line.waiting.push(event)
    if (!line.busy) void work(endpoint, line)
  }

  async function work(endpoint: Endpoint, line: { readonly waiting: FleetEvent[]; busy: boolean }): Promise<void> {
    line.busy = true
    for (let event = line.waiting.shift(); event !== undefined && !stopped; event = line.waiting.shift()) {
      const delivered = await deliver(endpoint, event)
      journal.note({ type: 'event-delivered', result: delivered ? 'ok' : 'lost' })
    }
    line.busy = false
  }

  async function deliver(endpoint: Endpoint, event: FleetEvent): Promise<boolean> {
    const body = JSON.stringify(toMessage(event))
    for (let attempt = 1; !stopped; attempt++) {
      if (await attemptOnce(endpoint, event, body)) return true
      if (attempt === ATTEMPTS_MAX) return false
      journal.note({ type: 'event-delivered', result: 'retried' })
      const longest = Math.min(WAIT_MAX_MS, FIRST_WAIT_MS * 2 ** (attempt - 1))
      await pause(longest / 2 + (random() * longest) / 2)
    }
    return false
  }

  async function attemptOnce({ url, secret }: Endpoint, { id }: FleetEvent, body: string): Promise<boolean> {
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

  function pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        cancels.delete(cancel)
        resolve()
      }
      const disarm = clock.after(ms, done)
      const cancel = () => {
        disarm()
        done()
      }
      cancels.add(cancel)
    })
  }

  return {
    subscriber(fact) {
      if (fact.type !== 'event-kept') return
      for (const endpoint of options.endpoints()) {
        if (endpoint.events?.includes(fact.event.type) ?? true) add(endpoint, fact.event)
      }
    },
    stop() {
      stopped = true
      for (const cancel of [...cancels]) cancel()
    },
  }
}

/** An event as webhooks get it, in the form that https://www.standardwebhooks.com recommends. */
function toMessage({ type, at, id, server, data }: FleetEvent): object {
  return { type, timestamp: new Date(at).toISOString(), data: { id, server, ...data } }
}
