import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Candidate } from '#core/attempt.ts'
import { STRATEGY_NAMES } from '#core/strategies.ts'
import { configuredStrategy, STRATEGIES } from '#routing/strategies/index.ts'
import { candidatesOf } from '#tests/support/fleet.ts'
import { firsts, strategyContext } from '#tests/support/strategies.ts'

const context = strategyContext

const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 })
const all = [...STRATEGIES.values()]

describe('every strategy', () => {
  test('gives a permutation of the candidates', () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), weights, fc.integer(), (strategy, given, seed) => {
        const candidates = candidatesOf(given)
        const own = context(seed)
        for (const candidate of candidates) own.states.target(candidate.target).inFlight = seed & 3

        const ordered = strategy.order(candidates, own)

        expect(new Set(ordered)).toEqual(new Set(candidates))
        expect(ordered).toHaveLength(candidates.length)
      }),
    )
  })

  test('leaves the list it was given as it is', () => {
    for (const strategy of all) {
      const candidates = Object.freeze(candidatesOf([1, 2, 3]))
      const before = [...candidates]

      strategy.order(candidates, context())

      expect(candidates).toEqual(before)
    }
  })

  test('bears an empty list', () => {
    for (const strategy of all) expect(strategy.order([], context())).toEqual([])
  })

  test('is found by its name, and every name in the configuration has one', () => {
    for (const name of STRATEGY_NAMES) expect(configuredStrategy(name).name).toBe(name)
    expect([...STRATEGIES.keys()].sort()).toEqual([...STRATEGY_NAMES].sort())
  })

  test('keeps its shares within two percentage points of the weights over 10,000 calls, where it goes by weight', () => {
    for (const name of ['weighted_round_robin', 'random', 'least_busy', 'cost', 'resident', 'auto']) {
      const given = [1, 2, 3, 4]
      const counts = firsts(configuredStrategy(name), candidatesOf(given), 10_000, context(11))

      for (const [index, count] of counts.entries()) {
        expect(Math.abs(count / 10_000 - (given[index] ?? 0) / 10), name).toBeLessThanOrEqual(0.02)
      }
    }
  })
})

describe('weighted_round_robin', () => {
  const strategy = configuredStrategy('weighted_round_robin')

  test('gives each its exact share in every full cycle', () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 4 }), (given, cycles) => {
        const cycle = given.reduce((sum, weight) => sum + weight, 0)

        expect(firsts(strategy, candidatesOf(given), cycle * cycles)).toEqual(given.map(weight => weight * cycles))
      }),
    )
  })

  test('spreads the calls of a heavy candidate among the others', () => {
    const candidates = candidatesOf([5, 1, 1])
    const own = context()

    const sequence = Array.from({ length: 7 }, () => strategy.order(candidates, own)[0]?.target.server.id)

    expect(sequence.join(' ')).toBe('s0 s0 s1 s0 s2 s0 s0')
  })

  test('keeps the shares of those that stay while another is away', () => {
    const [a, b, c] = candidatesOf([3, 2, 1]) as [Candidate, Candidate, Candidate]
    const own = context()
    firsts(strategy, [a, b, c], 4, own)

    const counts = firsts(strategy, [a, c], 400, own)

    expect(counts[0]).toBeWithin(299, 302)
  })

  test('shares equally where nothing has a weight', () => {
    expect(firsts(strategy, candidatesOf([0, 0]), 10)).toEqual([5, 5])
  })

  test('goes by the weights of the targets where their model has none beside others', () => {
    const candidates = candidatesOf([1, 3]).map(each => ({ ...each, model: { ...each.model, weight: 0 } }))

    expect(firsts(strategy, candidates, 8)).toEqual([2, 6])
  })
})

describe('round_robin', () => {
  const strategy = configuredStrategy('round_robin')

  test('gives everyone the same, give or take one, whatever the weights', () => {
    fc.assert(
      fc.property(weights, fc.nat(200), (given, calls) => {
        const counts = firsts(strategy, candidatesOf(given), calls)

        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('stays fair among those that are always there while others come and go', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 200 }), presence => {
        const [a, b, c] = candidatesOf([1, 1, 1]) as [Candidate, Candidate, Candidate]
        const own = context()
        const counts = new Map<Candidate, number>()
        for (const present of presence) {
          const [first] = strategy.order(present ? [a, b, c] : [a, c], own)
          if (first !== undefined) counts.set(first, (counts.get(first) ?? 0) + 1)
        }

        expect(Math.abs((counts.get(a) ?? 0) - (counts.get(c) ?? 0))).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('tries next whoever would have been next', () => {
    const candidates = candidatesOf([1, 1, 1])
    const own = context()
    strategy.order(candidates, own)

    expect(strategy.order(candidates, own).map(each => each.target.server.id)).toEqual(['s1', 's2', 's0'])
  })
})

describe('random', () => {
  const strategy = configuredStrategy('random')

  test('follows the weights', () => {
    const counts = firsts(strategy, candidatesOf([1, 2, 7]), 10_000, context(42))

    expect(counts[0]).toBeWithin(850, 1150)
    expect(counts[1]).toBeWithin(1850, 2150)
    expect(counts[2]).toBeWithin(6800, 7200)
  })

  test('draws the rest by their weights too', () => {
    const candidates = candidatesOf([1, 1, 8])
    const own = context(7)
    let second = 0
    for (let call = 0; call < 4000; call++) {
      const ordered = strategy.order(candidates, own)
      if (ordered[0] === candidates[0] && ordered[1] === candidates[2]) second++
    }

    // A tenth begins with the first, and eight of nine of those go on with the heavy one.
    expect(second).toBeWithin(280, 430)
  })
})

describe('least_busy', () => {
  const strategy = configuredStrategy('least_busy')

  test('never picks the busier of its two', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.nat(20), weights, fc.integer(), (one, two, given, seed) => {
        const candidates = candidatesOf([given[0] ?? 1, given[1] ?? 1])
        const own = context(seed)
        const loads = candidates.map(({ target }, index) => {
          own.states.target(target).inFlight = index === 0 ? one : two
          return (index === 0 ? one : two) / target.weight
        })

        const [first] = strategy.order(candidates, own)

        expect(loads[candidates.indexOf(first as Candidate)]).toBe(Math.min(...loads))
      }),
    )
  })

  test('picks the cheaper only of two that are equally busy', () => {
    const candidates = candidatesOf([1, 1])
    const [cheap, dear] = candidates as [Candidate, Candidate]
    const prices = new Map([
      [cheap, 1],
      [dear, 2],
    ])
    const chosen = (calls: number) => {
      const own = strategyContext(5, { prices })
      own.states.target(cheap.target).inFlight = calls
      return firsts(strategy, candidates, 20, own)
    }

    expect([chosen(0), chosen(1)]).toEqual([
      [20, 0],
      [0, 20],
    ])
  })

  test('never picks the busiest of all when the others are less busy', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), fc.integer(), (count, seed) => {
        const candidates = candidatesOf(Array.from({ length: count }, () => 1))
        const own = context(seed)
        const busiest = candidates[seed & 1] as Candidate
        own.states.target(busiest.target).inFlight = 3

        expect(strategy.order(candidates, own)[0]).not.toBe(busiest)
      }),
    )
  })

  test('gives the calls of a busy one to all others alike', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    const own = context(8)
    own.states.target((candidates[0] as Candidate).target).inFlight = 1

    const [busy, ...others] = firsts(strategy, candidates, 10_000, own)

    expect(busy).toBe(0)
    for (const count of others) expect(count).toBeWithin(3150, 3520)
  })

  test('follows the weights while nothing is busy', () => {
    const counts = firsts(strategy, candidatesOf([1, 3]), 4000, context(3))

    expect(counts[1]).toBeWithin(2850, 3150)
  })

  test('tries the rest from the least to the most busy', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    const own = context()
    for (const [index, { target }] of candidates.entries()) own.states.target(target).inFlight = 4 - index

    const rest = strategy
      .order(candidates, own)
      .slice(1)
      .map(({ target }) => own.states.target(target).inFlight)

    expect(rest).toEqual(rest.toSorted((a, b) => a - b))
  })
})
