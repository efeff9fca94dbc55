import type { Clock } from '#core/clock.ts'
import type { LocalPlace } from '#core/local-place.ts'
import type { Server } from '#core/servers.ts'
import { isObject, parseJson } from '#lib/json.ts'

/** An answer as discovery reads it; header names in lower case. */
export interface FoundAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface DiscoveryOptions {
  readonly clock: Clock
  /** Where this gateway itself listens, as `host:port`; `null` while it does not. */
  readonly own: () => { readonly host: string; readonly port: number } | null
  /** Fetches a URL; `null` when nobody answers there. */
  readonly get: (url: string, timeoutMs: number) => Promise<FoundAnswer | null>
  /** Makes a server of a place, with the clocks and the form of address that its kind wants; the same object for the same
   * server, so that who watches it is not disturbed. */
  readonly toServer: (place: LocalPlace) => Server
}

/** A place where no server was found, and why. */
export interface Missing {
  readonly name: string
  readonly address: string
  readonly why: string
}

export interface Discovered {
  readonly found: readonly Server[]
  readonly missing: readonly Missing[]
}

/** Looks for model servers on this machine. */
export interface Discovery {
  /** What the last look found, as it is configured now. */
  current(): Discovered
  /** Looks now and every 30 seconds; `onChange` hears when servers have come or gone. What was found elsewhere is
   * forgotten at once.
   *
   * @returns Resolves after the first look. */
  start(places: readonly LocalPlace[], onChange: (discovered: Discovered) => void): Promise<void>
  stop(): void
}

const TIMEOUT_MS = 1500
const AGAIN_MS = 30_000
/** Looks in a row that a server must be missing from: a busy one may fail to answer once. */
const MISSED_MAX = 2
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]', '::1', '0.0.0.0', '::', '[::]'])

/** Looking in some places, until it is stopped or looks in others. */
interface Run {
  readonly places: readonly LocalPlace[]
  readonly onChange: (discovered: Discovered) => void
}

/** Creates the discovery. It never finds this gateway, nor another one like it. */
export function createDiscovery(options: DiscoveryOptions): Discovery {
  const places = new Map<string, LocalPlace>()
  const missed = new Map<string, number>()
  let missing: readonly Missing[] = []
  let running: Run | null = null
  let disarm = () => {}

  async function turn(run: Run): Promise<void> {
    const before = [...places.keys()].join()
    const results = await Promise.all(run.places.map(async place => ({ place, why: await inspect(place, options) })))
    if (running !== run) return
    const absent: Missing[] = []
    for (const { place, why } of results) {
      if (why === null) {
        missed.delete(place.id)
        places.set(place.id, place)
        continue
      }
      absent.push({ name: place.name, address: addressOf(place), why })
      const times = (missed.get(place.id) ?? 0) + 1
      missed.set(place.id, times)
      if (times >= MISSED_MAX) places.delete(place.id)
    }
    missing = absent
    if ([...places.keys()].join() !== before) run.onChange(current())
    disarm = options.clock.after(AGAIN_MS, () => void turn(run))
  }

  function current(): Discovered {
    return { found: [...places.values()].map(options.toServer), missing }
  }

  function stop(): void {
    running = null
    disarm()
    places.clear()
    missing = []
  }

  return {
    stop,
    current,
    start(wanted, onChange) {
      disarm()
      const addresses = new Set(wanted.map(({ baseUrl }) => baseUrl))
      for (const { id, baseUrl } of places.values()) if (!addresses.has(baseUrl)) places.delete(id)
      missed.clear()
      running = { places: wanted, onChange }
      return turn(running)
    },
  }
}

/** Why a place has no server to use; `null` when it has one. */
async function inspect(place: LocalPlace, { own, get }: DiscoveryOptions): Promise<string | null> {
  const address = addressOf(place)
  if (isOwn(address, own())) return `${address} is where this gateway listens`
  const answer = await get(place.baseUrl + place.path, TIMEOUT_MS).catch(() => null)
  if (answer === null) return `nothing listens on ${address}`
  if (answer.headers['x-citadel-gateway'] !== undefined) return `${address} is another gateway like this one`
  if (answer.status === 401 || answer.status === 403) {
    return `${address} asks for a key; name the server in the configuration`
  }
  if (answer.status !== 200) return `${address} answered HTTP ${answer.status} to ${place.path}`
  const body = parseJson(answer.body)
  if (!isObject(body) || !Array.isArray(body[place.field])) return `${address} answered, but with no list of models`
  if (await isGateway(place.baseUrl, get)) return `${address} is another gateway like this one`
  return null
}

/** Gateways name themselves in their report of health. */
async function isGateway(baseUrl: string, get: DiscoveryOptions['get']): Promise<boolean> {
  const health = await get(`${baseUrl}/health`, TIMEOUT_MS).catch(() => null)
  if (health === null) return false
  const body = parseJson(health.body)
  return health.headers['x-citadel-gateway'] !== undefined || (isObject(body) && body.gateway !== undefined)
}

function isOwn(address: string, own: { readonly host: string; readonly port: number } | null): boolean {
  const colon = address.lastIndexOf(':')
  if (own === null || Number(address.slice(colon + 1)) !== own.port) return false
  const host = address.slice(0, colon)
  return host === own.host || (LOOPBACK.has(host) && LOOPBACK.has(own.host))
}

/** `host:port` of a place. */
function addressOf({ baseUrl }: LocalPlace): string {
  const url = new URL(baseUrl)
  return `${url.hostname}:${url.port || (url.protocol === 'https:' ? '443' : '80')}`
}
