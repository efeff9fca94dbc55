import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Call } from '#core/call.ts'
import type { Price } from '#core/servers.ts'
import { createStates } from '#registry/states.ts'
import { createLineups } from '#routing/lineup.ts'
import { plan } from '#routing/plan.ts'
import { answerTokens, priceOf, promptTokens } from '#routing/price.ts'
import { cost } from '#routing/strategies/cost.ts'
import { model } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { candidatesOf, snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { seeded } from '#tests/support/random.ts'
import { firsts, prompted, strategyContext } from '#tests/support/strategies.ts'

function candidatesAt(prices: readonly (Price | null)[]) {
  const targets = prices.map((price, index) => targetOf(`s${index}/m`, { price }))
  const only = model('m', targets)
  return targets.map(target => ({ target, model: only, reason: 'test' }))
}

const amount = fc.option(fc.integer({ min: 0, max: 40 }))
const price = fc.option(fc.record({ input: amount, output: amount, request: fc.constantFrom(0, 0.001, 0.1) }))

describe('cost', () => {
  test('gives candidates of one price their turns by weight', () => {
    expect(firsts(cost, candidatesOf([3, 1, 2]), 600)).toEqual([300, 100, 200])
  })

  test('never chooses a dearer candidate, nor one of unknown price before one whose price is known', () => {
    fc.assert(
      fc.property(
        fc.array(price, { minLength: 1, maxLength: 6 }),
        fc.nat(20_000),
        fc.integer({ min: 1, max: 5000 }),
        (prices, length, max) => {
          const candidates = candidatesAt(prices)
          const call = prompted('x'.repeat(length), {
            body: { messages: [{ role: 'user', content: 'x'.repeat(length) }], max_tokens: max },
          })
          const priced = candidates.map(each => priceOf(each, promptTokens(call), answerTokens(call)))

          const ordered = cost.order(candidates, strategyContext(1, { call }))

          const found = ordered.map(each => priced[candidates.indexOf(each)] ?? NaN)
          expect(found).toEqual(priced.toSorted((a, b) => a - b))
        },
      ),
    )
  })

  test('over 10,000 calls never sends one to a server that is dearer than one that is well', () => {
    const prices = [3, 1, 2, 1, 5]
    const candidates = candidatesAt(prices.map(input => ({ input, output: input, request: 0 })))
    const only = model(
      'm',
      candidates.map(({ target }) => target),
    )
    const snapshot = snapshotOf([only], { algorithm: 'cost' })
    const states = createStates()
    const random = seeded(7)
    const deps = { clock: fakeClock(), random, lineups: createLineups() }
    let dearer = 0
    for (let each = 0; each < 10_000; each++) {
      const down = prices.map(() => random() < 0.3)
      for (const [index, isDown] of down.entries()) states.server(`s${index}`).health = isDown ? 'unhealthy' : 'healthy'
      // With fewer than half of them well, panic asks all.
      if (down.filter(Boolean).length > 2) continue
      const [first] = plan(prompted('Hi', { model: 'm' }), snapshot, states, deps).candidates
      const paid = prices[Number(first?.target.server.id.slice(1))] ?? Infinity
      if (paid > Math.min(...prices.filter((_, index) => down[index] === false))) dearer++
    }

    expect(dearer).toBe(0)
  })

  test('knows that a long answer may make a cheap prompt dear', () => {
    const [reads, writes] = [
      { input: 1, output: 20, request: 0 },
      { input: 10, output: 2, request: 0 },
    ]
    const candidates = candidatesAt([reads, writes])
    const ask = (content: string, max_tokens: number) =>
      cost.order(
        candidates,
        strategyContext(1, { call: prompted('', { body: { messages: [{ role: 'user', content }], max_tokens } }) }),
      )[0]?.target.server.id

    expect(ask('x'.repeat(36_000), 10)).toBe('s0')
    expect(ask('Write a book.', 4000)).toBe('s1')
  })

  test('counts the tier of service that a call asks for', () => {
    const half = { input: 3, output: 3, request: 0, factors: { serviceTier: { flex: 0.5 }, inferenceGeo: {} } }
    const candidates = candidatesAt([{ input: 2, output: 2, request: 0 }, half])
    const ask = (body: object) => {
      const call = prompted('', { body: { messages: [{ role: 'user', content: 'Hi' }], ...body } })
      return cost.order(candidates, strategyContext(1, { call }))[0]?.target.server.id
    }

    expect([ask({}), ask({ service_tier: 'flex' })]).toEqual(['s0', 's1'])
  })

  test('takes a price for requests alone as the whole price', () => {
    const perRequest = { input: null, output: null, request: 0.1 }

    expect(priceOf(candidatesAt([perRequest])[0] ?? never(), 1e6, 1e6)).toBe(0.1)
  })

  test('lets those of one price take turns', () => {
    const free = { input: 0, output: 0, request: 0 }

    expect(firsts(cost, candidatesAt([free, null, free]), 10)).toEqual([5, 0, 5])
  })
})

function never(): never {
  throw new Error('there is a candidate')
}

describe('what a call would cost', () => {
  const at = (price: Price | null, input: number, output: number) =>
    priceOf(candidatesAt([price])[0] ?? never(), input, output)
  const unknown = Number.MAX_VALUE
  const TIER = { above: 200_000, input: 4, output: 16 }

  test.each([
    ['tokens of both kinds, by the million', { input: 2, output: 8, request: 0 }, 500_000, 250_000, 3],
    ['what is taken for each request too', { input: 2, output: 8, request: 0.5 }, 500_000, 0, 1.5],
    ['what its tier takes', { input: 2, output: 8, request: 0, tiers: [TIER] }, 500_000, 250_000, 2 + 4],
    ['nothing for what is free', { input: 0, output: 0, request: 0 }, 1000, 1000, 0],
    ['no output where there is none', { input: 2, output: null, request: 0 }, 1_000_000, 0, 2],
    ['no input where there is none', { input: null, output: 8, request: 0 }, 0, 1_000_000, 8],
    ['more than anything where its input has no price', { input: null, output: 8, request: 0.1 }, 10, 10, unknown],
    ['more than anything where its output has no price', { input: 2, output: null, request: 0.1 }, 10, 10, unknown],
    ['more than anything where nothing has a price', { input: null, output: null, request: 0 }, 10, 10, unknown],
    ['more than anything where no price is known', null, 0, 0, unknown],
  ] as const)('is %s', (_, price, input, output, usd) => {
    expect(at(price, input, output)).toBe(usd)
  })

  test('is estimated by the bound that the call names, and vectors have no answer to pay', () => {
    const tokens = (body: object, endpoint: Call['endpoint'] = 'chat') =>
      answerTokens(prompted('Hi', { endpoint, body: body as Call['body'] }))

    expect([{ max_tokens: 7 }, { max_completion_tokens: 9, max_tokens: 7 }, {}].map(body => tokens(body))).toEqual([
      7, 9, 500,
    ])
    expect(tokens({ max_tokens: 7 }, 'embeddings')).toBe(0)
  })
})
