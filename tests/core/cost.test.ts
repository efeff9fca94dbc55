import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { costAt, costOf, mostAt, mostOf, ratesAt, timesOf, toPrice } from '#core/cost.ts'
import type { Rates } from '#core/servers.ts'
import { inputTokens, type Usage, type UsageParts, withParts } from '#core/usage.ts'

function usageOf({ parts = {}, ...more }: Partial<Omit<Usage, 'parts'>> & { parts?: Partial<UsageParts> } = {}): Usage {
  const none = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0, estimated: false }
  return withParts({ ...none, ...more }, parts)
}

const price = { input: 1.25, output: 10, cache_read: 0.125, cache_write: null, request: 0.002 }
const MILLION = 1e6
/** What one million tokens of each class are, on their own. */
const EACH: Readonly<Record<keyof Rates, Usage>> = {
  input: usageOf({ input: MILLION }),
  audio_input: usageOf({ input: MILLION, parts: { audioInput: MILLION } }),
  cache_read: usageOf({ cacheRead: MILLION }),
  audio_cache_read: usageOf({ cacheRead: MILLION, parts: { audioCacheRead: MILLION } }),
  cache_write: usageOf({ cacheWrite: MILLION }),
  cache_write_1h: usageOf({ cacheWrite: MILLION, parts: { cacheWriteHour: MILLION } }),
  output: usageOf({ output: MILLION }),
  audio_output: usageOf({ output: MILLION, parts: { audioOutput: MILLION } }),
  reasoning: usageOf({ output: MILLION, reasoning: MILLION }),
}
const classes = Object.keys(EACH) as (keyof Rates)[]

const tokens = fc.nat(1_000_000)
const usages: fc.Arbitrary<Usage> = fc
  .record({ input: tokens, cacheRead: tokens, cacheWrite: tokens, output: tokens, reasoning: tokens })
  .chain(given =>
    fc
      .record({ audioInput: tokens, audioCacheRead: tokens, audioOutput: tokens, cacheWriteHour: tokens })
      .map(parts => usageOf({ ...given, reasoning: Math.min(given.reasoning, given.output), parts })),
  )
const amounts = fc.nat(99_999_999).map(millionths => millionths / 1e6)

describe('what an answer costs', () => {
  test('is the sum of disjoint classes and of the request; reasoning is in the output', () => {
    const used = usageOf({ input: 1000, cacheRead: 2000, output: 100, reasoning: 90 })

    expect(costOf(price, used)).toBe(1_250_000 + 250_000 + 1_000_000 + 2_000_000)
  })

  test('has a price for each class that may have one', () => {
    const own = { ...Object.fromEntries(classes.map((name, at) => [name, at + 1])), request: 0 }

    for (const [at, name] of classes.entries()) expect(costOf(toPrice(own), EACH[name])).toBe((at + 1) * 1e9)
  })

  test('takes the price of the wider class where a part of it has none, and is never free instead', () => {
    const of = (written: Rates) => {
      const cost = (name: keyof Rates) => (costOf(toPrice(written), EACH[name]) ?? -1e9) / 1e9
      return Object.fromEntries(classes.map(name => [name, cost(name)]))
    }

    expect(of({ input: 1, output: 5 })).toEqual({
      ...{ input: 1, audio_input: 1, cache_read: 1, audio_cache_read: 1, cache_write: 1, cache_write_1h: 1 },
      ...{ output: 5, audio_output: 5, reasoning: 5 },
    })
    expect(of({ input: 1, output: 5, cache_read: 2, cache_write: 3 })).toMatchObject({
      ...{ audio_input: 1, cache_read: 2, audio_cache_read: 2, cache_write: 3, cache_write_1h: 3 },
    })
  })

  test('is unknown where the price of something that was used is, and only there', () => {
    expect(costOf(null, usageOf())).toBeNull()
    expect(costOf({ input: null, output: 1, request: 0 }, usageOf({ input: 1 }))).toBeNull()
    expect(costOf({ input: null, output: 1, request: 0 }, usageOf({ cacheWrite: 1 }))).toBeNull()
    expect(costOf({ input: null, output: 1, request: 0 }, usageOf({ output: 1 }))).toBe(1000)
  })

  test('has every search of the provider in it', () => {
    const used = usageOf({ output: 1, parts: { searches: 3 } })

    expect(costOf(toPrice({ input: 1, output: 1, search: 0.01 }), used)).toBe(1000 + 30_000_000)
  })

  test('has what the tokens cost where the price of a search is not known', () => {
    expect(costOf(toPrice({ input: 1, output: 1 }), usageOf({ output: 1, parts: { searches: 3 } }))).toBe(1000)
  })

  test('is exact: no part of a billionth is lost over many calls of one size', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(999_999_999), (tokens, millionths) => {
        const cost = costOf({ input: millionths / 1e6, output: 0, request: 0 }, usageOf({ input: tokens }))
        const exact = (BigInt(tokens) * BigInt(millionths) + 500n) / 1000n

        expect(BigInt(cost ?? -1)).toBe(exact)
      }),
    )
  })

  test('counts each token in one class only, however much of it is said to be a part', () => {
    fc.assert(
      fc.property(usages, used => {
        const same = toPrice(Object.fromEntries(classes.map(name => [name, 1])))

        expect(costOf(same, used)).toBe((inputTokens(used) + used.output) * 1000)
      }),
    )
  })

  test('never falls when more is used, or when anything gets dearer', () => {
    const rates = fc.record(
      Object.fromEntries(classes.map(name => [name, amounts])) as Record<keyof Rates, typeof amounts>,
    )
    fc.assert(
      fc.property(usages, rates, fc.constantFrom(...classes), tokens, (used, written, name, more) => {
        const tier = Object.fromEntries(classes.map(each => [each, written[each] * 2]))
        const at = toPrice({ ...written, tiers: [{ above: 200_000, ...tier }] })
        const cost = costOf(at, used) ?? -1
        const { input, cacheRead, cacheWrite, output } = EACH[name]
        const grown = {
          ...used,
          input: used.input + (input && more),
          cacheRead: used.cacheRead + (cacheRead && more),
          cacheWrite: used.cacheWrite + (cacheWrite && more),
          output: used.output + (output && more),
        }

        expect(costOf(at, grown)).toBeGreaterThanOrEqual(cost)
        expect(costOf(toPrice({ ...written, [name]: written[name] + 1 }), used)).toBeGreaterThanOrEqual(
          costOf(toPrice(written), used) ?? 0,
        )
      }),
    )
  })
})

test('the most that a call may cost is never below what its tokens cost, in whichever class they are', () => {
  const rates = fc.record(
    Object.fromEntries(classes.map(name => [name, fc.option(amounts)])) as Record<
      keyof Rates,
      fc.Arbitrary<number | null>
    >,
  )
  fc.assert(
    fc.property(rates, tokens, tokens, fc.nat(4), (written, prompt, output, searches) => {
      // What is read from a cache costs less than what is not, wherever a provider has a price for it.
      const own = {
        ...written,
        input: written.input ?? 1,
        output: written.output ?? 1,
        cache_read: 0,
        audio_cache_read: 0,
      }
      const price = toPrice({ ...own, search: 0.01, tiers: [{ above: 500_000, input: own.input * 2 }] })
      const most = mostOf(price, { input: prompt, output, searches, keeps: true, speaks: true, asked: {} }) ?? -1
      for (const parts of [{}, { audioOutput: output }, { cacheWriteHour: prompt }]) {
        for (const where of [{ input: prompt }, { cacheRead: prompt }, { cacheWrite: prompt }]) {
          for (const reasoning of [0, output]) {
            const used = usageOf({ ...where, output, reasoning, parts: { ...parts, searches } })

            expect(most).toBeGreaterThanOrEqual(costOf(price, used) ?? Number.POSITIVE_INFINITY)
          }
        }
      }
    }),
  )
})

test('what no price allows for costs no more: an hour that is not asked for, a voice, and what nobody prices', () => {
  const bound = { input: 10, output: 10, searches: 3, keeps: false, speaks: false, asked: {} }
  const price = toPrice({ input: 1, cache_write_1h: 5, output: 2, audio_output: 9 })

  expect(mostOf(price, bound)).toBe(10_000 + 20_000)
  expect(mostOf(price, { ...bound, keeps: true, speaks: true })).toBe(50_000 + 90_000)
  expect(mostOf(null, bound)).toBeNull()
  expect(mostOf(toPrice({ input: 1 }), bound)).toBeNull()
})

describe('tiers', () => {
  const tiered = toPrice({
    ...{ input: 1, cache_read: 0.1, output: 5, reasoning: null },
    tiers: [
      { above: 1000, input: 4, cache_read: null },
      { above: 200, input: 2, output: 8 },
    ],
  })

  test.each([
    [usageOf({ input: 200, output: 10 }), 200 + 50],
    [usageOf({ input: 201, output: 10 }), 402 + 80],
    // All of the prompt counts, wherever it was read, and all of the call has the price of the tier.
    [usageOf({ input: 1, cacheRead: 150, cacheWrite: 50, output: 10 }), 2 + 15 + 100 + 80],
    // What a tier does not name stays as it is below.
    [usageOf({ input: 1001, output: 10 }), 4004 + 80],
  ])('hold for the whole of a call with a longer prompt: %j', (used, millionths) => {
    expect(costOf(tiered, used)).toBe(millionths * 1000)
  })

  test('are found for a prompt of any length', () => {
    expect([0, 200, 201, 1001].map(prompt => ratesAt(tiered, prompt).input)).toEqual([1, 1, 2, 4])
    expect(ratesAt(price, 1e9)).toBe(price)
  })
})

describe('tiers of service', () => {
  const written = {
    ...{ input: 1, cache_read: 0.1, cache_write_1h: 2, audio_output: 8, output: 5, request: 0.5, search: 0.01 },
    tiers: [{ above: 200, input: 2 }],
  }
  const price = toPrice({ ...written, service_tiers: { flex: 0.5, priority: 2 }, inference_geo: { us: 1.1 } })
  const used = usageOf({ input: 100, output: 10, parts: { searches: 1 } })

  test.each([
    [{}, 1],
    [{ serviceTier: 'default' }, 1],
    [{ serviceTier: 'flex' }, 0.5],
    [{ serviceTier: 'priority', inferenceGeo: 'us' }, 2.2],
    // Who asks OpenAI for fast is answered that it was served as priority.
    [{ serviceTier: 'fast' }, 2],
    [{ serviceTier: 'toString', inferenceGeo: 'constructor' }, 1],
  ])('have so many times the price of the tokens, and the same of a request and a search: %j', (served, times) => {
    expect(costOf(price, { ...used, ...served })).toBe(Math.round(150_000 * times) + 500_000_000 + 10_000_000)
    expect(timesOf(toPrice(written), served)).toBe(1)
  })

  test('are known where none of the places has a price of its own, and the other way round', () => {
    const tiers = toPrice({ ...written, service_tiers: { flex: 0.5 } })
    const places = toPrice({ ...written, inference_geo: { us: 1.1 } })
    const served = { serviceTier: 'flex', inferenceGeo: 'us' }

    expect([timesOf(tiers, served), timesOf(places, served)]).toEqual([0.5, 1.1])
  })

  test.each([
    [{}, 1],
    [{ serviceTier: 'priority' }, 2],
    [{ serviceTier: 'flex' }, 1],
    [{ inferenceGeo: 'us' }, 1.1],
    [{ inferenceGeo: 'eu' }, 1],
  ])('hold no more than is charged at the dearer of what is asked for and the usual one: %j', (asked, times) => {
    const bound = { input: 100, output: 10, searches: 1, keeps: false, speaks: false, asked }

    expect(mostOf(price, bound)).toBe(150_000 * times + 500_000_000 + 10_000_000)
  })

  test('cost so many times as much in each class and at each length, and no hold is below what is charged', () => {
    const times = fc.integer({ min: 0, max: 100_000 }).map(thousandths => thousandths / 1000)
    const asked = fc.record({
      serviceTier: fc.constantFrom('flex', 'priority'),
      inferenceGeo: fc.constantFrom('us', 'eu'),
    })
    fc.assert(
      fc.property(usages, times, times, times, times, asked, (counted, flex, priority, us, dear, wish) => {
        const rates = {
          ...Object.fromEntries(classes.map(name => [name, 3])),
          tiers: [{ above: 500_000, input: 7, output: 8 }],
        }
        const factors = { service_tiers: { default: dear, flex, priority }, inference_geo: { us } }
        const [usual, own] = [toPrice(rates), toPrice({ ...rates, ...factors })]
        const factor = (wish.serviceTier === 'flex' ? flex : priority) * (wish.inferenceGeo === 'us' ? us : 1)
        const input = inputTokens(counted)
        const most =
          mostOf(own, { input, output: counted.output, searches: 0, keeps: true, speaks: true, asked: wish }) ?? -1

        const cost = costOf(own, { ...counted, ...wish }) ?? -1

        expect(Math.abs(cost - (costOf(usual, counted) ?? 0) * factor)).toBeLessThanOrEqual(1 + cost * 1e-12)
        // It may be served as asked, or as usual.
        for (const served of [wish, {}, { serviceTier: 'default' }]) {
          const charged = costOf(own, { ...counted, ...served }) ?? Number.POSITIVE_INFINITY
          expect(most).toBeGreaterThanOrEqual(Math.floor(charged * (1 - 1e-12)))
        }
      }),
    )
  })
})

describe('what another model took for an answer', () => {
  const own = toPrice({
    input: 1,
    output: 2,
    request: 0.5,
    tiers: [{ above: 100, input: 9 }],
    inference_geo: { us: 2 },
  })
  const dear = toPrice({ input: 10, output: 20, cache_write_1h: 40, request: 7, inference_geo: { us: 3 } })
  const advice = usageOf({ input: 1000, cacheWrite: 10, output: 100, parts: { cacheWriteHour: 10 } })
  const besides = [{ model: 'dear', usage: advice }]
  const used = { ...usageOf({ input: 1050, cacheWrite: 10, output: 110, parts: { cacheWriteHour: 10 } }), besides }
  const target = { price: own, priceBeside: (model: string) => (model === 'dear' ? dear : null) }
  const BOUND = { input: 1, output: 1, searches: 0, keeps: false, speaks: false, asked: {} }
  const BESIDE = { model: 'dear', output: 1, uses: 1 }

  test('costs what that one takes, and neither a second request nor the price of a longer prompt', () => {
    expect(costAt(target, used)).toBe(500_000_000 + 50_000 + 20_000 + 10_000_000 + 400_000 + 2_000_000)
    expect(costAt(target, { ...used, inferenceGeo: 'us' })).toBe(500_000_000 + 2 * 70_000 + 3 * 12_400_000)
  })

  test('costs what the target takes where nothing else is known, and is unknown where that is', () => {
    expect(costAt({ price: own }, used)).toBe(500_000_000 + 70_000 + 9_000_000 + 10_000 * 9 + 200_000)
    expect(costAt({ price: null, priceBeside: () => dear }, used)).toBeNull()
  })

  test('leaves the cost of the whole unknown where either of the two has no price for what it used', () => {
    const half = toPrice({ input: 1 })

    expect(costAt({ price: half, priceBeside: () => dear }, used)).toBeNull()
    expect(costAt({ price: dear, priceBeside: () => half }, used)).toBeNull()
    expect(mostAt({ price: half, priceBeside: () => dear }, { ...BOUND, besides: [BESIDE] })).toBeNull()
    expect(mostAt({ price: dear, priceBeside: () => half }, { ...BOUND, besides: [BESIDE] })).toBeNull()
  })

  test('has its own share of what was written for an hour, and the rest has the price of the others', () => {
    const kept = toPrice({ input: 1, output: 1, cache_write: 2, cache_write_1h: 5 })
    const hour = (cacheWrite: number, cacheWriteHour: number) => usageOf({ cacheWrite, parts: { cacheWriteHour } })
    const at = { price: kept, priceBeside: () => kept }

    expect(costAt(at, { ...hour(30, 10), besides: [{ model: 'any', usage: hour(10, 10) }] })).toBe(
      20 * 2000 + 10 * 5000,
    )
    expect(costAt(at, { ...hour(30, 20), besides: [{ model: 'any', usage: hour(10, 10) }] })).toBe(
      20 * 5000 + 10 * 2000,
    )
    // Of a model that wrote nothing for an hour, the hour is the other's.
    const plain = usageOf({ cacheWrite: 10 })
    expect(costAt(at, { ...hour(30, 20), besides: [{ model: 'any', usage: plain }] })).toBe(20 * 5000 + 10 * 2000)
  })

  test('has held for it what its price is at the same place, without searches and without a voice', () => {
    const rich = toPrice({ input: 1, output: 2, audio_output: 50, search: 3, inference_geo: { us: 3 } })
    const target = { price: toPrice({ input: 0, output: 0, audio_output: 0 }), priceBeside: () => rich }
    const bound = { ...BOUND, input: 10, output: 5, searches: 2, speaks: true, besides: [{ ...BESIDE, uses: 2 }] }

    expect(mostAt(target, bound)).toBe(2 * (15_000 + 2000))
    expect(mostAt(target, { ...bound, asked: { inferenceGeo: 'us' } })).toBe(3 * 2 * (15_000 + 2000))
  })

  test('costs no more than is held for it', () => {
    fc.assert(
      fc.property(usages, usages, fc.integer({ min: 1, max: 3 }), (answer, other, uses) => {
        const input = inputTokens(answer)
        // Whoever advises reads what the one who asks has read and said.
        const advised = usageOf({ input: Math.min(other.input, input + answer.output), output: other.output })
        const all = Array.from({ length: uses }, () => ({ model: 'dear', usage: advised }))
        const sum = {
          ...{ ...answer, input: answer.input + uses * advised.input, output: answer.output + uses * advised.output },
          besides: all,
        }
        const bound = { input, output: answer.output, searches: 0, keeps: true, speaks: true, asked: {} }
        const beside = { model: 'dear', output: advised.output, uses }

        const most = mostAt(target, { ...bound, besides: [beside] }) ?? -1

        expect(most).toBeGreaterThanOrEqual(costAt(target, sum) ?? Number.POSITIVE_INFINITY)
      }),
    )
    expect(mostAt({ price: null }, { ...BOUND, besides: [{ model: 'dear', output: 1, uses: 1 }] })).toBeNull()
    expect(mostAt(target, { ...BOUND, besides: [{ model: 'dear', output: 1e9, uses: 1e9 }] })).toBe(
      Number.MAX_SAFE_INTEGER,
    )
  })

  test('is a part of the whole: at one price for all the sum is the same', () => {
    const flat = toPrice(Object.fromEntries(classes.map(name => [name, 1])))
    fc.assert(
      fc.property(usages, usages, (answer, other) => {
        const sum = {
          ...usageOf({
            ...{ input: answer.input + other.input, cacheRead: answer.cacheRead + other.cacheRead },
            ...{ cacheWrite: answer.cacheWrite + other.cacheWrite, output: answer.output + other.output },
          }),
          besides: [{ model: 'any', usage: other }],
        }

        expect(costAt({ price: flat, priceBeside: () => flat }, sum)).toBe(costOf(flat, sum))
      }),
    )
  })
})
