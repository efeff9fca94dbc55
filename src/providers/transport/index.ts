import type { Clock } from '#core/clock.ts'
import type { Incoming, Transport } from '../transport.ts'
import { createDial } from './dial.ts'
import { connectionFailed } from './errors.ts'
import { Exchange } from './exchange.ts'
import type { Guard } from './guard.ts'
import { createNames, type Lookup } from './names.ts'
import { type Place, placeOf } from './place.ts'
import { Pool, type PoolOptions } from './pool.ts'
import type { Trust } from './tls.ts'
import type { ProxyServer } from './tunnel.ts'

/** Idle sockets that are kept for one origin, and for how long, in milliseconds. */
const IDLE_MAX = 1024
const IDLE_MS = 60_000
/** Addresses that stay split. */
const PLACES_MAX = 1000

/** A transport with connections of its own. */
export type SocketTransport = Transport & {
  /** Sockets that are open or being opened, and those of them that wait for work. */
  counts(): { readonly open: number; readonly idle: number }
  /** Closes every connection; what is under way fails. */
  close(): void
}

interface Route {
  readonly place: Place
  readonly pool: Pool
}

/** Creates the transport that speaks HTTP/1.1 over sockets of its own, kept for each origin. */
export function createSocketTransport(options: {
  readonly clock: Clock
  readonly trust?: Trust
  readonly idleMax?: number
  readonly idleMs?: number
  /** For addresses that somebody else than the operator has given. */
  readonly guard?: Guard
  /** Where connections go through a proxy; the environment is never asked for one. */
  readonly proxy?: ProxyServer | null
  /** How names are looked up; as the system does when absent. */
  readonly lookup?: Lookup
}): SocketTransport {
  const { clock, trust = {}, idleMax = IDLE_MAX, idleMs = IDLE_MS, guard, proxy = null, lookup } = options
  const dial = createDial(clock, createNames(clock, lookup))
  const settings: PoolOptions = { clock, trust, idleMax, idleMs, guard, proxy, dial }
  const pools = new Map<string, Pool>()
  const routes = new Map<string, Route>()
  let closed = false

  /** Lets go of all addresses, and of the origins to which no connection is left. */
  function forget(): void {
    routes.clear()
    for (const [key, { counts }] of pools) if (counts.open === 0) pools.delete(key)
  }

  function routeOf(url: string): Route {
    const known = routes.get(url)
    if (known !== undefined) return known
    if (routes.size >= PLACES_MAX) forget()
    const place = placeOf(url)
    const { key } = place.origin
    const pool = pools.get(key) ?? new Pool(place.origin, settings)
    pools.set(key, pool)
    const route = { place, pool }
    routes.set(url, route)
    return route
  }

  const transport: Transport = (outgoing, scope, clocks) => {
    const { promise, resolve, reject } = Promise.withResolvers<Incoming>()
    try {
      if (scope.ended !== null) throw scope.ended
      if (closed) throw connectionFailed('closed')
      const { place, pool } = routeOf(outgoing.url)
      new Exchange({ outgoing, place, pool, scope, clock, clocks }, resolve, reject).begin()
    } catch (thrown) {
      reject(thrown)
    }
    return promise
  }

  return Object.assign(transport, {
    counts() {
      const all = [...pools.values()].map(pool => pool.counts)
      return { open: all.reduce((sum, { open }) => sum + open, 0), idle: all.reduce((sum, { idle }) => sum + idle, 0) }
    },
    close() {
      closed = true
      for (const pool of pools.values()) pool.close()
    },
  })
}
