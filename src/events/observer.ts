import type { Clock } from '#core/clock.ts'
import type { FleetEvent } from '#core/events.ts'
import type { Fact } from '#core/journal.ts'
import type { Server, ServerState } from '#core/servers.ts'
import type { Seen } from './feed.ts'

export interface ObserverOptions {
  readonly clock: Pick<Clock, 'after' | 'time'>
  readonly observe: (seen: Seen) => void
  /** The servers that share the load: those that are only watched are not among them. */
  readonly servers: () => readonly Server[]
  readonly state: (id: string) => ServerState
}

/** Makes events of what the journal tells. */
export interface Observer {
  subscriber(fact: Fact): void
  stop(): void
}

const LOOK_EVERY_MS = 250

/** Creates the observer. A failover is complete when nothing is under way at the server any more, as the process sees
 * it that began the failover. */
export function createObserver(options: ObserverOptions): Observer {
  const { clock, observe, state } = options
  const leaving = new Map<string, { readonly startedAt: number; stop: () => void }>()
  let shares = sharesOf(options)

  function tell(
    type: FleetEvent['type'],
    server: string,
    change: Omit<Seen, 'event'>,
    data: FleetEvent['data'] = {},
  ): void {
    observe({ ...change, event: { type, server, data } })
  }

  function beginFailover(server: string, trigger: 'manual' | 'automatic', by: string | null): void {
    const change = { series: `failover:${server}`, state: 'initiated', initially: 'completed' }
    tell('failover_initiated', server, change, { trigger, by, in_flight: state(server).inFlight })
    endFailover(server)
    leaving.set(server, { startedAt: clock.time(), stop: () => {} })
    awaitEmpty(server)
  }

  function awaitEmpty(server: string): void {
    const entry = leaving.get(server)
    if (entry === undefined) return
    if (state(server).inFlight === 0) completeFailover(server, 'drained')
    else entry.stop = clock.after(LOOK_EVERY_MS, () => awaitEmpty(server))
  }

  function endFailover(server: string): number | null {
    const entry = leaving.get(server)
    entry?.stop()
    leaving.delete(server)
    return entry?.startedAt ?? null
  }

  function completeFailover(server: string, outcome: 'drained' | 'recovered'): void {
    const startedAt = endFailover(server)
    if (startedAt === null) return
    const change = { series: `failover:${server}`, state: 'completed', initially: 'completed' }
    tell('failover_completed', server, change, { outcome, ms: clock.time() - startedAt })
  }

  function rebalance(trigger: Fact['type'], server: string): void {
    const before = shares
    shares = sharesOf(options)
    const [from, to] = [JSON.stringify(before), JSON.stringify(shares)]
    if (from === to) return
    const change = { series: 'cluster', state: to, initially: from }
    observe({ ...change, event: { type: 'cluster_rebalanced', server, data: { trigger, shares } } })
  }

  function onHealth({ server, from, to, reason }: Fact & { readonly type: 'health-changed' }): void {
    const change = { series: `health:${server}`, state: to, initially: 'healthy' }
    tell('health_status_changed', server, change, { from, to, reason })
    if (to === 'unhealthy') beginFailover(server, 'automatic', null)
    else if (from === 'unhealthy' && !state(server).draining) completeFailover(server, 'recovered')
  }

  function subscriber(fact: Fact): void {
    switch (fact.type) {
      case 'server-registered': {
        const change = { series: `membership:${fact.server}`, state: 'registered', initially: 'departed' }
        tell('server_registered', fact.server, change, { address: fact.address, by: fact.by })
        break
      }
      case 'server-departed': {
        const change = { series: `membership:${fact.server}`, state: 'departed', initially: 'registered' }
        tell('server_departed', fact.server, change, { reason: fact.reason })
        break
      }
      case 'health-changed':
        onHealth(fact)
        break
      case 'server-drained':
        beginFailover(fact.server, 'manual', fact.by)
        break
      case 'server-recovered':
        completeFailover(fact.server, 'recovered')
        break
      default:
        return
    }
    rebalance(fact.type, fact.server)
  }

  return {
    subscriber,
    stop() {
      for (const { stop } of leaving.values()) stop()
      leaving.clear()
    },
  }
}

/** The share of the load that each server gets which takes requests now, by its weight; four digits. */
function sharesOf({ servers, state }: Pick<ObserverOptions, 'servers' | 'state'>): Readonly<Record<string, number>> {
  const taking = servers().filter(({ id }) => !state(id).draining && state(id).health !== 'unhealthy')
  const total = taking.reduce((sum, { weight = 1 }) => sum + weight, 0)
  const shares = taking.map(({ id, weight = 1 }) => [id, total === 0 ? 0 : Math.round((weight / total) * 1e4) / 1e4])
  return Object.fromEntries(shares.toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)))
}
