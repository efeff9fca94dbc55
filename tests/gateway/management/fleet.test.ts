import { expect, test } from 'bun:test'
import { countServers, findModel, fleetStatus, listModels, listServers } from '#gateway/management/fleet.ts'
import { createStates } from '#registry/states.ts'
import { anyone, model, server } from '#tests/support/calls.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'

const [small, large] = [targetOf('a/small'), targetOf('b/large')]
const demo = targetOf('demo/m', { server: server('demo', { origin: 'built-in' }) })
const snapshot = snapshotOf([
  model('small', [small]),
  model('large', [large], { displayName: 'The large one' }),
  model('citadel-demo', [demo]),
])

test('models are listed by name, those that the caller may use, under the name that people gave them', () => {
  const names = (models: ReadonlySet<string> | null) =>
    listModels(snapshot, { ...anyone, models }).map(each => `${each.id}: ${each.display_name}`)

  expect(names(null)).toEqual(['citadel-demo: citadel-demo', 'large: The large one', 'small: small'])
  expect(names(new Set(['small']))).toEqual(['small: small'])
  expect(findModel(snapshot, { ...anyone, models: new Set(['small']) }, 'large')).toBeNull()
})

test('a server that no probe has reached yet has no latency', () => {
  const states = createStates()
  Object.assign(states.server('a'), { probedAt: Date.UTC(2026, 0, 1), latencyMs: 12.6 })

  const servers = listServers({ snapshot, states })

  expect(servers.map(each => [each.id, each.latency_ms])).toEqual([
    ['a', 13],
    ['b', null],
    ['demo', null],
  ])
})

test('the fleet is degraded with one of its servers, and the demonstration counts neither way', () => {
  const states = createStates()
  const status = () => fleetStatus({ snapshot, states })
  for (const id of ['a', 'b']) states.server(id).health = 'healthy'
  states.server('demo').health = 'unhealthy'
  const before = [status(), countServers({ snapshot, states })]

  states.server('b').health = 'degraded'

  expect(before).toEqual(['healthy', { total: 2, healthy: 2 }])
  expect([status(), countServers({ snapshot, states })]).toEqual(['degraded', { total: 2, healthy: 1 }])
})
