import { describe, expect, test } from 'bun:test'
import type { FleetEvent } from '#core/events.ts'
import type { Server } from '#core/servers.ts'
import type { NewObservation } from '#events/feed.ts'
import { createObserver } from '#events/observer.ts'
import { createStates } from '#registry/states.ts'
import { model } from '#tests/support/calls.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'

const HEALTH = { type: 'health-changed', server: 'a', reason: null } as const

/** An observer of the servers `a` and `b`, of which these are unhealthy as far as all agree. */
function observerOf(...unhealthy: readonly string[]) {
  const states = createStates()
  const seen: NewObservation[][] = []
  const { servers } = snapshotOf([model('m', [targetOf('a/m'), targetOf('b/m')])])
  const all: readonly Server[] = [...servers.values()]
  const last = unhealthy.map(server => {
    const data = { to: 'unhealthy' }
    return { id: server, type: 'health_status_changed', at: 0, server, data } satisfies FleetEvent
  })
  const observer = createObserver({
    observe: (change, consequence) => seen.push([...change, ...(consequence ? [consequence.from(last)] : [])]),
    servers: () => all,
    state: states.server,
    failoverMs: () => 1500,
  })
  return {
    state: states.server('a'),
    /** What was observed since, in words. */
    told: () => seen.splice(0).map(change => change.map(({ event, state }) => `${event.type} ${state}`)),
    seen,
    note: observer.subscriber,
    regrouped: observer.regrouped,
  }
}

const BOTH = 'cluster_rebalanced {"a":0.5,"b":0.5}'
const ONLY_B = 'cluster_rebalanced {"b":1}'

describe('one change of a server causes further events', () => {
  test('a server that becomes unhealthy is failed over, and the shares of the load change', () => {
    const { note, told } = observerOf('a')

    note({ ...HEALTH, from: 'healthy', to: 'unhealthy' })

    expect(told()).toEqual([['health_status_changed unhealthy', 'failover_initiated initiated', ONLY_B]])
  })

  test('a server that recovers ends its failover, also in a process that never saw it fail', () => {
    const { note, told, seen } = observerOf()

    note({ ...HEALTH, from: 'unknown', to: 'healthy' })

    expect(seen[0]?.[1]?.event.data).toEqual({ outcome: 'recovered', ms: 1500 })
    expect(told()).toEqual([['health_status_changed healthy', 'failover_completed completed', BOTH]])
  })

  test('a server that recovers while it is drained does not end its failover', () => {
    const { note, told, state } = observerOf()
    state.draining = true

    note({ ...HEALTH, from: 'unhealthy', to: 'healthy' })

    expect(told()).toEqual([['health_status_changed healthy', ONLY_B]])
  })
})

test('a server that is undrained but still unhealthy does not end its failover', () => {
  const { note, told, state } = observerOf()
  state.health = 'unhealthy'

  note({ type: 'server-recovered', server: 'a', by: 'ops' })
  state.health = 'healthy'
  note({ type: 'server-recovered', server: 'a', by: 'ops' })

  expect(told()).toEqual([[BOTH], ['failover_completed completed'], [BOTH]])
})

test('the shares are computed from the health in the store, and from the registry', () => {
  const { state, regrouped, told } = observerOf('b')
  regrouped()
  state.draining = true
  regrouped()

  expect(told()).toEqual([['cluster_rebalanced {"a":1}'], ['cluster_rebalanced {}']])
})

test('a failover names who drained the server, and how many requests were running', () => {
  const { note, seen, state } = observerOf()
  state.draining = true
  state.inFlight = 2

  note({ type: 'server-drained', server: 'a', by: 'key_1' })

  expect(seen[0]?.[0]?.event).toEqual({
    type: 'failover_initiated',
    server: 'a',
    data: { trigger: 'manual', by: 'key_1', in_flight: 2 },
  })
})
