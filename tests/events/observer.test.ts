import { describe, expect, test } from 'bun:test'
import type { Fact } from '#core/journal.ts'
import type { Server } from '#core/servers.ts'
import type { Seen } from '#events/feed.ts'
import { createObserver } from '#events/observer.ts'
import { createStates } from '#registry/states.ts'
import { model } from '#tests/support/calls.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'

const HEALTH = { type: 'health-changed', server: 'a', reason: null } as const

/** An observer of the servers `a` and `b`, with what it has seen: one list for each change. */
function observerOf() {
  const states = createStates()
  const seen: (readonly Seen[])[] = []
  const { servers } = snapshotOf([model('m', [targetOf('a/m'), targetOf('b/m')])])
  const all: readonly Server[] = [...servers.values()]
  const note = createObserver({
    observe: (...change) => seen.push(change),
    servers: () => all,
    state: states.server,
    failoverMs: () => 1500,
  })
  return {
    state: states.server('a'),
    /** The states that each change of one list would take. */
    told(fact: Fact) {
      note(fact)
      return seen.splice(0).map(change => change.map(({ event, state }) => `${event.type} ${state}`))
    },
    data(fact: Fact) {
      note(fact)
      return seen.splice(0).flat()[1]?.event.data
    },
  }
}

describe('one change brings the others with it', () => {
  test('a server that fails is failed over, and the shares change', () => {
    const { state, told } = observerOf()
    state.health = 'unhealthy'

    expect(told({ ...HEALTH, from: 'healthy', to: 'unhealthy' })).toEqual([
      ['health_status_changed unhealthy', 'failover_initiated initiated', 'cluster_rebalanced {"b":1}'],
    ])
  })

  test('one that comes back ends its failover, unless it is drained', () => {
    const { state, told, data } = observerOf()
    state.health = 'healthy'
    const back = { ...HEALTH, from: 'unhealthy', to: 'healthy' } as const

    expect(data(back)).toEqual({ outcome: 'recovered', ms: 1500 })
    state.draining = true
    expect(told(back)).toEqual([['health_status_changed healthy', 'cluster_rebalanced {"b":1}']])
  })

  test('one that is only slow keeps its share', () => {
    const { state, told } = observerOf()
    state.health = 'degraded'

    expect(told({ ...HEALTH, from: 'healthy', to: 'degraded' })).toEqual([
      ['health_status_changed degraded', 'cluster_rebalanced {"a":0.5,"b":0.5}'],
    ])
  })
})

test('a server that is taken back but still fails ends no failover', () => {
  const { state, told } = observerOf()
  state.health = 'unhealthy'

  const failing = told({ type: 'server-recovered', server: 'a', by: 'ops' })
  state.health = 'healthy'
  const well = told({ type: 'server-recovered', server: 'a', by: 'ops' })

  expect(failing).toEqual([['cluster_rebalanced {"b":1}']])
  expect(well).toEqual([['failover_completed completed'], ['cluster_rebalanced {"a":0.5,"b":0.5}']])
})

test('who drained a server stands in its failover', () => {
  const { state, data } = observerOf()
  state.draining = true
  state.inFlight = 2
  const drained = { type: 'server-drained', server: 'a', by: 'key_1' } as const

  const { told } = observerOf()
  expect(told(drained)[0]?.[0]).toBe('failover_initiated initiated')
  expect(data({ type: 'server-registered', server: 'a', address: 'http://a', by: 'key_1' })).toMatchObject({
    trigger: 'server-registered',
  })
})
