import { describe, expect, test } from 'bun:test'
import { createStates } from '#registry/states.ts'
import { createLineups } from '#routing/lineup.ts'
import { plan } from '#routing/plan.ts'
import { call, model } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { seeded } from '#tests/support/random.ts'

const price = (input: number) => ({ input, output: input, request: 0 })
const fleet = [
  targetOf('dear/m', { price: price(10) }),
  targetOf('cheap/m', { price: price(1) }),
  targetOf('unknown/m'),
  targetOf('cheap-too/m', { price: price(1) }),
]

function setup(algorithm: string, costOptimization = true) {
  const states = createStates()
  const deps = { clock: fakeClock(), random: seeded(1), lineups: createLineups() }
  const snapshot = snapshotOf([model('m', fleet)], { algorithm, costOptimization })
  const order = (strategy: string | null = null) =>
    plan(call(), snapshot, states, deps, { server: null, strategy }).candidates.map(({ target }) => target.server.id)
  return { states, order }
}

describe('cost optimization', () => {
  test('lets the cheapest take turns, and puts the dearer behind them', () => {
    const { order } = setup('weighted_round_robin')

    expect([order(), order(), order()]).toEqual([
      ['cheap', 'cheap-too', 'dear', 'unknown'],
      ['cheap-too', 'cheap', 'dear', 'unknown'],
      ['cheap', 'cheap-too', 'dear', 'unknown'],
    ])
  })

  test('is off unless it is asked for', () => {
    const { order } = setup('round_robin', false)

    expect(new Set([order()[0], order()[0], order()[0], order()[0]]).size).toBe(4)
  })

  test('leaves the order of the configuration to who asks for that', () => {
    expect(setup('explicit').order()).toEqual(['dear', 'cheap', 'unknown', 'cheap-too'])
  })

  test('does not make a cheaper server load a model that a dearer one has', () => {
    const { states, order } = setup('resident')
    for (const { server } of fleet) states.server(server.id).loaded = new Set(server.id === 'dear' ? ['m'] : [])

    expect(order()[0]).toBe('dear')
  })

  test.each(['random', 'least_busy', 'latency', 'affinity', 'auto', 'cost'])('chooses a cheap one under %s', name => {
    const { order } = setup(name)

    for (let each = 0; each < 50; each++) expect(order()[0]).toStartWith('cheap')
  })
})

test('a call that wishes for another strategy does not disturb the turns of the usual one', () => {
  const { order } = setup('weighted_round_robin', false)
  const usual = setup('weighted_round_robin', false)

  const mixed = Array.from({ length: 12 }, () => {
    order('affinity')
    order('round_robin')
    return order()[0]
  })

  expect(mixed).toEqual(Array.from({ length: 12 }, () => usual.order()[0]))
})
