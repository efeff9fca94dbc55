import type { FleetEvent } from '#core/events.ts'
import type { Fact } from '#core/journal.ts'
import type { Server } from '#core/servers.ts'
import type { ServerState } from '#core/states.ts'
import type { NewConsequence, NewObservation } from './feed.ts'

export interface ObserverOptions {
  readonly observe: (seen: readonly NewObservation[], consequence?: NewConsequence) => void
  /** The servers that take requests, without those of kind `service`, which are only probed. */
  readonly servers: () => readonly Server[]
  readonly state: (id: string) => ServerState
  /** How long the failover of a server has been going on, in milliseconds; `null` = not known. */
  readonly failoverMs: (server: string) => number | null
}

type FactOf<Type extends Fact['type']> = Fact & { readonly type: Type }

/** Makes fleet events of the facts in the journal. */
export interface Observer {
  subscriber(fact: Fact): void
  /** To be called when another process has changed which servers take requests: observes the new shares, unless that
   * process has stored them already. */
  regrouped(): void
}

/** Creates the observer.
 *
 * Several processes may see the same change. Its consequences (a failover, new shares) are recorded only by the process
 * whose observation of the change was stored; otherwise a process that is late, or has just started, would record them
 * again. The shares are computed from the stored health of all servers, not from what this process has seen. */
export function createObserver({ observe, ...options }: ObserverOptions): Observer {
  const { state } = options
  let shares = sharesOf(options, [])

  function initiated(server: string, trigger: 'manual' | 'automatic', by: string | null): NewObservation {
    const data = { trigger, by, in_flight: state(server).inFlight }
    return { ...failoverOf(server, 'initiated'), event: { type: 'failover_initiated', server, data } }
  }

  function recovered(server: string): NewObservation {
    return completed(server, 'recovered', options.failoverMs(server))
  }

  function rebalanced(trigger: Fact['type'], server: string | null): NewConsequence {
    const from = (health: readonly FleetEvent[]): NewObservation => {
      const initially = JSON.stringify(shares)
      shares = sharesOf(options, health)
      const data = { trigger, shares }
      return {
        series: 'cluster',
        state: JSON.stringify(shares),
        initially,
        event: { type: 'cluster_rebalanced', server, data },
      }
    }
    return { of: 'health_status_changed', from }
  }

  function health({ server, from, to, reason }: FactOf<'health-changed'>): readonly NewObservation[] {
    const changed: NewObservation = {
      series: `health:${server}`,
      state: to,
      initially: 'healthy',
      event: { type: 'health_status_changed', server, data: { from, to, reason } },
    }
    if (to === 'unhealthy') return [changed, initiated(server, 'automatic', null)]
    return state(server).draining ? [changed] : [changed, recovered(server)]
  }

  function subscriber(fact: Fact): void {
    switch (fact.type) {
      case 'server-registered':
        observe([registered(fact)], rebalanced(fact.type, fact.server))
        break
      case 'server-departed':
        observe([departed(fact)], rebalanced(fact.type, fact.server))
        break
      case 'health-changed':
        observe(health(fact), rebalanced(fact.type, fact.server))
        break
      case 'server-drained':
        observe([initiated(fact.server, 'manual', fact.by)], rebalanced(fact.type, fact.server))
        break
      case 'server-recovered':
        if (state(fact.server).health !== 'unhealthy') observe([recovered(fact.server)])
        observe([], rebalanced(fact.type, fact.server))
        break
    }
  }

  return { subscriber, regrouped: () => observe([], rebalanced('fleet-changed', null)) }
}

function registered({ server, address, by }: FactOf<'server-registered'>): NewObservation {
  const change = { series: `membership:${server}`, state: 'registered', initially: 'departed' }
  return { ...change, event: { type: 'server_registered', server, data: { address, by } } }
}

function departed({ server, reason }: FactOf<'server-departed'>): NewObservation {
  const change = { series: `membership:${server}`, state: 'departed', initially: 'registered' }
  return { ...change, event: { type: 'server_departed', server, data: { reason } } }
}

/** Makes the observation that ends a failover.
 *
 * @param ms How long it took, in milliseconds; `null` = not known. */
export function completed(server: string, outcome: 'drained' | 'recovered', ms: number | null): NewObservation {
  return { ...failoverOf(server, 'completed'), event: { type: 'failover_completed', server, data: { outcome, ms } } }
}

function failoverOf(server: string, now: 'initiated' | 'completed'): Omit<NewObservation, 'event'> {
  return { series: `failover:${server}`, state: now, initially: 'completed' }
}

/** Computes the share of the load of each server that takes requests now: 0 to 1, by weight, rounded to four digits.
 *
 * @param health The last stored health event of each server. */
function sharesOf(
  { servers, state }: Pick<ObserverOptions, 'servers' | 'state'>,
  health: readonly FleetEvent[],
): Readonly<Record<string, number>> {
  const out = new Set(health.flatMap(({ server, data }) => (data.to === 'unhealthy' ? [server] : [])))
  const taking = servers().filter(({ id }) => !state(id).draining && !out.has(id))
  const total = taking.reduce((sum, { weight = 1 }) => sum + weight, 0)
  const shares = taking.map(({ id, weight = 1 }) => [id, total === 0 ? 0 : Math.round((weight / total) * 1e4) / 1e4])
  return Object.fromEntries(shares.toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)))
}
