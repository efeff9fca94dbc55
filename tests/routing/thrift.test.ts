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
  test('begins each round with the cheaper ones, and gives everyone its share', () => {
    const { order } = setup('round_robin')
    const round = () => [order()[0], order()[0], order()[0], order()[0]]

    expect([round(), round()]).toEqual([
      ['cheap', 'cheap-too', 'dear', 'unknown'],
      ['cheap', 'cheap-too', 'dear', 'unknown'],
    ])
  })

  test('is off unless it is asked for', () => {
    expect(setup('round_robin', false).order()[0]).toBe('dear')
  })

  test('leaves the order of the configuration to who asks for that', () => {
    expect(setup('explicit').order()).toEqual(['dear', 'cheap', 'unknown', 'cheap-too'])
  })

  test('does not make a cheaper server load a model that a dearer one has', () => {
    const { states, order } = setup('resident')
    for (const { server } of fleet) states.server(server.id).loaded = new Set(server.id === 'dear' ? ['m'] : [])

    expect(order()[0]).toBe('dear')
  })

  test('prefers a dearer one that is less busy', () => {
    const { states, order } = setup('resident')
    for (const each of fleet) if (each.server.id !== 'dear') states.target(each).inFlight = 1

    expect(order()[0]).toBe('dear')
  })

  test.each(['resident', 'auto', 'cost'])('lets the cheapest take turns under %s while they are equally fit', name => {
    const { order } = setup(name)

    expect([order()[0], order()[0], order()[0], order()[0]]).toEqual(['cheap', 'cheap-too', 'cheap', 'cheap-too'])
  })

  test('takes the cheaper of two that are drawn under least_busy', () => {
    const { order } = setup('least_busy')
    const found = new Set(Array.from({ length: 200 }, () => order()[0]))

    // The dearest of all is never the cheaper of two.
    expect([...found].toSorted()).toEqual(['cheap', 'cheap-too', 'dear'])
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
