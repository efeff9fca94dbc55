import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Candidate } from '#core/attempt.ts'
import { addSample, averageFor } from '#core/average.ts'
import { latency } from '#routing/strategies/latency.ts'
import type { StrategyContext } from '#routing/strategies/strategy.ts'
import { call } from '#tests/support/calls.ts'
import { candidatesOf } from '#tests/support/fleet.ts'
import { firsts, strategyContext } from '#tests/support/strategies.ts'

/** Sends calls one after the other to targets that take these times; how many each got. */
function send(
  times: readonly number[],
  calls: number,
  seed: number,
  own: StrategyContext = strategyContext(seed),
  from = 1,
) {
  const candidates = candidatesOf(times.map(() => 1))
  const counts = times.map(() => 0)
  for (let each = from; each < from + calls; each++) {
    const [first] = latency.order(candidates, own)
    const index = first === undefined ? -1 : candidates.indexOf(first)
    counts[index] = (counts[index] ?? 0) + 1
    if (first !== undefined) addSample(averageFor(own.states.target(first.target), true), times[index] ?? 0, each)
  }
  return { counts, candidates, own }
}

describe('latency', () => {
  test('gives nine of ten calls to the quickest, and tries all the others', () => {
    const others = fc.array(fc.integer({ min: 200, max: 5000 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(others, fc.nat(5), fc.integer(), (slow, place, seed) => {
        const times = slow.toSpliced(place % (slow.length + 1), 0, 100)

        const { counts } = send(times, 1000, seed)

        expect(counts[times.indexOf(100)]).toBeGreaterThan(900)
        expect(Math.min(...counts)).toBeGreaterThan(0)
      }),
      { numRuns: 50 },
    )
  })

  test('notices within a few hundred calls that a slow one has become quick', () => {
    const { own } = send([100, 900], 200, 5)

    const { counts } = send([100, 10], 600, 5, own, 201)

    expect(counts[1]).toBeGreaterThan(300)
  })

  test('does not send everything to the quickest while that is busy', () => {
    const { candidates, own } = send([100, 150], 100, 3)
    const [quick] = candidates
    if (quick !== undefined) own.states.target(quick.target).inFlight = 2

    const counts = candidates.map(() => 0)
    for (let each = 0; each < 100; each++) {
      const index = candidates.indexOf(latency.order(candidates, own)[0] as Candidate)
      counts[index] = (counts[index] ?? 0) + 1
    }

    expect(counts[1]).toBeGreaterThan(90)
  })

  test('tries what was never measured once it is idle, and until then takes it for as quick as the quickest', () => {
    const candidates = candidatesOf([1, 1, 1])
    const own = { ...strategyContext(), random: () => 0.5 }
    const [quick, slow, unknown] = candidates.map(({ target }) => own.states.target(target))
    if (quick === undefined || slow === undefined || unknown === undefined) throw new Error('there are three')
    addSample(averageFor(quick, true), 100, 1)
    addSample(averageFor(slow, true), 900, 1)
    const chosen = (quickCalls: number, unknownCalls: number) => {
      quick.inFlight = quickCalls
      unknown.inFlight = unknownCalls
      return candidates.indexOf(latency.order(candidates, own)[0] as Candidate)
    }

    expect([chosen(0, 0), chosen(0, 1), chosen(1, 2), chosen(2, 1), chosen(9, 9)]).toEqual([2, 0, 0, 2, 1])
  })

  test('lets one call in twenty go to whoever was measured longest ago', () => {
    const candidates = candidatesOf([1, 1, 1])
    const own = strategyContext(9)
    for (const [index, { target }] of candidates.entries()) {
      addSample(averageFor(own.states.target(target), true), [100, 900, 900][index] ?? 0, [3, 1, 2][index] ?? 0)
    }

    const counts = firsts(latency, candidates, 10_000, own)

    expect(counts[1]).toBeWithin(440, 560)
    expect(counts[2]).toBe(0)
  })

  test('does not compare streams with plain answers', () => {
    const { candidates, own } = send([100, 900], 50, 1)
    for (const [index, { target }] of candidates.entries()) {
      addSample(averageFor(own.states.target(target), false), [5000, 4000][index] ?? 0, 1)
    }

    const plain = { ...own, call: call({ stream: false }), random: () => 0.5 }

    expect(latency.order(candidates, plain)[0]).toBe(candidates[1])
    expect(latency.order(candidates, { ...own, random: () => 0.5 })[0]).toBe(candidates[0])
  })
})
