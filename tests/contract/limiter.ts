import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Clock } from '#core/clock.ts'
import type { Bucket, Limiter, Verdict } from '#core/limiter.ts'
import { fakeClock } from '#tests/support/clock.ts'

/** A bucket for tests, by the minute; its key is its scope unless it says otherwise. */
export function bucket(more: Partial<Bucket> = {}): Bucket {
  const scope = more.scope ?? 'key'
  const limit = more.limit ?? 60
  const concurrent = more.unit === 'concurrent'
  return { key: scope, scope, unit: 'requests', limit, periodMs: concurrent ? 0 : 60_000, burst: limit, ...more }
}

/** Each takes with an owner of its own, unless it says otherwise. */
export function ask(limiter: Limiter, buckets: readonly Bucket[], tokens = 0, owner: string = crypto.randomUUID()) {
  return limiter.take(buckets, tokens, owner)
}

const NOTHING = { requests: 0, tokens: 0 }
const passed = (verdict: Verdict) => verdict.refused === null

/** What every limiter promises, wherever it keeps its buckets. The clock tells its time.
 *
 * @param runs How often each property is tried. */
export function limiterContract(name: string, create: (clock: Clock) => Promise<Limiter>, runs = 100): void {
  async function setup() {
    const clock = fakeClock()
    return { clock, limiter: await create(clock) }
  }

  describe(name, () => {
    requestPromises(setup)
    tokenPromises(setup)
    leasePromises(setup)
    limiterProperties(setup, runs)
  })
}

type Setup = () => Promise<{ clock: ReturnType<typeof fakeClock>; limiter: Limiter }>

function requestPromises(setup: Setup): void {
  test('admits everything without a bucket', async () => {
    const { limiter } = await setup()

    expect(await ask(limiter, [])).toEqual({ refused: null, retryAfterMs: 0, requests: null, tokens: null })
  })

  test('admits the burst at once, and then no more', async () => {
    const { limiter } = await setup()
    const one = bucket({ limit: 600, burst: 5 })

    const verdicts = []
    for (let time = 0; time < 7; time++) verdicts.push(await ask(limiter, [one]))

    expect(verdicts.map(passed)).toEqual([true, true, true, true, true, false, false])
  })

  test('admits the burst and no more of a hundred at the same time', async () => {
    const { limiter } = await setup()
    const one = bucket({ limit: 10 })

    const verdicts = await Promise.all(Array.from({ length: 100 }, () => ask(limiter, [one])))

    expect(verdicts.filter(passed)).toHaveLength(10)
  })

  test('says what is left, and until when', async () => {
    const { limiter } = await setup()
    const one = bucket({ burst: 3 })

    const verdicts = []
    for (let time = 0; time < 4; time++) verdicts.push(await ask(limiter, [one]))

    // Of the third the next one has to wait already.
    const standing = (remaining: number, resetMs: number) => ({ limit: 60, remaining, resetMs })
    expect(verdicts).toEqual([
      { refused: null, retryAfterMs: 0, requests: standing(2, 1000), tokens: null },
      { refused: null, retryAfterMs: 0, requests: standing(1, 2000), tokens: null },
      { refused: null, retryAfterMs: 1000, requests: standing(0, 3000), tokens: null },
      { refused: one, retryAfterMs: 1000, requests: standing(0, 3000), tokens: null },
    ])
  })

  test('fills a bucket again, and never above its burst', async () => {
    const { limiter, clock } = await setup()
    const one = bucket({ burst: 2 })
    await ask(limiter, [one])
    await ask(limiter, [one])
    clock.advance(3_600_000)

    expect((await ask(limiter, [one])).requests?.remaining).toBe(1)
  })

  test.each([
    ['hour', 3_600_000],
    ['day', 86_400_000],
  ])('refills what is limited by the %s over all of it', async (_, periodMs) => {
    const { limiter, clock } = await setup()
    const one = bucket({ limit: 100, burst: 1, periodMs })
    await ask(limiter, [one])

    clock.advance(periodMs / 100 - 1)
    const early = await ask(limiter, [one])
    clock.advance(1)

    expect(early).toMatchObject({ refused: one, retryAfterMs: 1 })
    expect(passed(await ask(limiter, [one]))).toBe(true)
  })

  test('takes from all buckets or from none', async () => {
    const { limiter } = await setup()
    const wide = bucket({ scope: 'global', limit: 600, burst: 3 })
    const narrow = bucket({ scope: 'key', burst: 1 })
    await ask(limiter, [wide, narrow])

    const refused = await ask(limiter, [wide, narrow])

    expect(refused.refused).toEqual(narrow)
    expect(await ask(limiter, [wide])).toMatchObject({ refused: null, requests: { remaining: 1 } })
  })

  test('tells of the tightest bucket, whatever its place', async () => {
    const { limiter } = await setup()
    const wide = bucket({ scope: 'global', burst: 10 })
    const narrow = bucket({ scope: 'key', limit: 50, burst: 4 })

    expect((await ask(limiter, [wide, narrow])).requests).toMatchObject({ limit: 50, remaining: 3 })
    expect((await ask(limiter, [narrow, wide])).requests).toMatchObject({ limit: 50, remaining: 2 })
  })

  test('of two that have as much left tells of the slower one', async () => {
    const { limiter } = await setup()
    const fast = bucket({ scope: 'global', limit: 1000, burst: 100 })
    const slow = bucket({ scope: 'key', limit: 100, burst: 100 })

    expect((await ask(limiter, [fast, slow])).requests).toMatchObject({ limit: 100, remaining: 99 })
  })

  test('of two that refuse tells of the one to wait for longest', async () => {
    const { limiter } = await setup()
    const short = bucket({ scope: 'global', limit: 600, burst: 1 })
    const long = bucket({ scope: 'key', limit: 6, burst: 1 })
    await ask(limiter, [short, long])

    expect(await ask(limiter, [short, long])).toMatchObject({ refused: long, retryAfterMs: 10_000 })
    expect(await ask(limiter, [long, short])).toMatchObject({ refused: long, retryAfterMs: 10_000 })
  })

  test('tells of the bucket that refused, though another one takes longer to be full', async () => {
    const { limiter } = await setup()
    const long = bucket({ scope: 'key', limit: 6, burst: 1 })
    const full = bucket({ scope: 'global', burst: 20 })
    for (let time = 0; time < 19; time++) await ask(limiter, [full])
    await ask(limiter, [long, full])

    for (const both of [
      [long, full],
      [full, long],
    ])
      expect((await ask(limiter, both)).requests).toEqual({ limit: 6, remaining: 0, resetMs: 10_000 })
  })

  test('of two that let the last one in tells the longer wait for the next', async () => {
    const { limiter } = await setup()
    const pair = (name: string) => [
      bucket({ key: `short ${name}`, limit: 600, burst: 1 }),
      bucket({ key: `long ${name}`, limit: 6, burst: 1 }),
    ]

    expect(await ask(limiter, pair('a'))).toMatchObject({ refused: null, retryAfterMs: 10_000 })
    expect(await ask(limiter, pair('b').reverse())).toMatchObject({ refused: null, retryAfterMs: 10_000 })
  })

  test('knows a bucket by its key, not by its object', async () => {
    const { limiter } = await setup()
    await ask(limiter, [bucket({ burst: 1 })])

    expect(passed(await ask(limiter, [bucket({ burst: 1 })]))).toBe(false)
    expect(passed(await ask(limiter, [bucket({ key: 'another', burst: 1 })]))).toBe(true)
  })

  test('does not notice when the wall clock jumps', async () => {
    const { limiter, clock } = await setup()
    const one = bucket({ burst: 1 })
    await ask(limiter, [one])
    clock.jump(3_600_000)

    expect(await ask(limiter, [one])).toMatchObject({ refused: one, retryAfterMs: 1000 })
  })

  test('a refused request costs nothing', async () => {
    const { limiter, clock } = await setup()
    const one = bucket({ burst: 1 })
    await ask(limiter, [one])
    for (let times = 0; times < 100; times++) await ask(limiter, [one])
    clock.advance(1000)

    expect(passed(await ask(limiter, [one]))).toBe(true)
  })
}

function tokenPromises(setup: Setup): void {
  const tokens = bucket({ key: 'tokens', unit: 'tokens', limit: 6000, burst: 1000 })

  test('takes as many tokens as are asked for, and one request', async () => {
    const { limiter } = await setup()

    const verdict = await ask(limiter, [bucket(), tokens], 400)

    expect(verdict).toMatchObject({ requests: { remaining: 59 }, tokens: { limit: 6000, remaining: 600 } })
  })

  test('refuses more tokens than are left, until they are back', async () => {
    const { limiter, clock } = await setup()
    await ask(limiter, [tokens], 900)

    const refused = await ask(limiter, [tokens], 200)
    clock.advance(999)
    const early = await ask(limiter, [tokens], 200)
    clock.advance(1)

    expect(refused).toMatchObject({ refused: tokens, retryAfterMs: 1000, tokens: { remaining: 100 } })
    expect(early).toMatchObject({ refused: tokens, retryAfterMs: 1 })
    expect(passed(await ask(limiter, [tokens], 200))).toBe(true)
  })

  test('a small request passes where a large one does not', async () => {
    const { limiter } = await setup()
    await ask(limiter, [tokens], 900)
    await ask(limiter, [tokens], 500)

    expect(passed(await ask(limiter, [tokens], 100))).toBe(true)
  })

  test('says of more than the bucket ever holds that waiting does not help', async () => {
    const { limiter } = await setup()

    expect(await ask(limiter, [tokens], 1001)).toMatchObject({ refused: tokens, retryAfterMs: Infinity })
  })

  test.each([
    ['gives back what was not used', 100, 900],
    ['charges what was used above', 950, 50],
    ['charges a single one above', 501, 499],
  ])('%s', async (_, used, remaining) => {
    const { limiter } = await setup()
    await ask(limiter, [tokens], 500, 'one')

    limiter.settle([tokens], { requests: 0, tokens: used - 500 }, 'one')

    expect((await ask(limiter, [tokens], 0)).tokens?.remaining).toBe(remaining)
  })

  test('what is given back in full stays given back', async () => {
    const { limiter } = await setup()
    await ask(limiter, [tokens], 1000, 'one')
    limiter.settle([tokens], { requests: 0, tokens: -1000 }, 'one')
    await ask(limiter, [bucket({ key: 'other' })])

    expect((await ask(limiter, [tokens], 0)).tokens?.remaining).toBe(1000)
  })

  test('remembers a debt beyond the burst', async () => {
    const { limiter } = await setup()
    await ask(limiter, [tokens], 1000, 'one')

    limiter.settle([tokens], { requests: 0, tokens: 500 }, 'one')

    expect(await ask(limiter, [tokens], 1)).toMatchObject({ refused: tokens, retryAfterMs: 5010 })
  })

  test('never gives back more than fills the bucket', async () => {
    const { limiter, clock } = await setup()
    await ask(limiter, [tokens], 500, 'one')
    clock.advance(4000)

    limiter.settle([tokens], { requests: 0, tokens: -400 }, 'one')

    expect((await ask(limiter, [tokens], 0)).tokens?.remaining).toBe(1000)
  })
}

function leasePromises(setup: Setup): void {
  const places = bucket({ key: 'places', unit: 'concurrent', limit: 2 })

  test('admits so many at once, and one more when one is over', async () => {
    const { limiter } = await setup()
    const owners = ['one', 'two', 'three']

    const verdicts = []
    for (const owner of owners) verdicts.push(await ask(limiter, [places], 0, owner))
    limiter.settle([places], NOTHING, 'one')

    expect(verdicts.map(passed)).toEqual([true, true, false])
    expect(passed(await ask(limiter, [places], 0, 'three'))).toBe(true)
    expect(passed(await ask(limiter, [places], 0, 'four'))).toBe(false)
  })

  test('admits no more than there are places for of a hundred at the same time', async () => {
    const { limiter } = await setup()
    const ten = bucket({ key: 'ten', unit: 'concurrent', limit: 10 })

    const verdicts = await Promise.all(Array.from({ length: 100 }, () => ask(limiter, [ten])))

    expect(verdicts.filter(passed)).toHaveLength(10)
  })

  test('a lease can be given back once only, and by nobody else', async () => {
    const { limiter } = await setup()
    await ask(limiter, [places], 0, 'one')
    await ask(limiter, [places], 0, 'two')

    limiter.settle([places], NOTHING, 'stranger')
    const before = passed(await ask(limiter, [places], 0, 'three'))
    limiter.settle([places], NOTHING, 'one')
    limiter.settle([places], NOTHING, 'one')
    await ask(limiter, [places], 0, 'four')

    expect(before).toBe(false)
    expect(passed(await ask(limiter, [places], 0, 'five'))).toBe(false)
  })

  test('a lease lasts as long as its request', async () => {
    const { limiter, clock } = await setup()
    await ask(limiter, [places], 0, 'one')
    await ask(limiter, [places], 0, 'two')
    for (let second = 0; second < 600; second++) {
      clock.advance(1000)
      await ask(limiter, [bucket()])
    }

    expect(passed(await ask(limiter, [places], 0, 'three'))).toBe(false)
  })

  test('who is refused by a rate has no lease, and who is refused a lease has spent nothing', async () => {
    const { limiter } = await setup()
    const rate = bucket({ burst: 2 })
    await ask(limiter, [rate, places], 0, 'one')
    await ask(limiter, [rate, places], 0, 'two')
    limiter.settle([places], NOTHING, 'one')

    const byRate = await ask(limiter, [rate, places], 0, 'three')
    const free = await ask(limiter, [places], 0, 'four')
    const byLease = await ask(limiter, [bucket({ key: 'fresh' }), places], 0, 'five')

    expect(byRate.refused).toEqual(rate)
    expect(passed(free)).toBe(true)
    expect(byLease).toMatchObject({ refused: places, requests: { remaining: 60 } })
    expect(byLease.retryAfterMs).toBeGreaterThan(0)
  })
}

const rates = fc.record({ limit: fc.integer({ min: 1, max: 100_000 }), burst: fc.integer({ min: 1, max: 500 }) })

function limiterProperties(setup: Setup, runs: number): void {
  test('admits at most burst + rate × t in any stretch of time', async () => {
    const steps = fc.array(fc.tuple(fc.nat(2000), fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(rates, steps, async (rate, all) => {
        const { clock, limiter } = await setup()
        const one = bucket(rate)
        const admitted: number[] = []
        for (const [wait, tries] of all) {
          clock.advance(wait)
          const verdicts = await Promise.all(Array.from({ length: tries }, () => ask(limiter, [one])))
          for (const verdict of verdicts) if (passed(verdict)) admitted.push(clock.now())
        }
        for (const [from, start] of admitted.entries()) {
          for (let to = from; to < admitted.length; to += 7) {
            const time = (admitted[to] ?? 0) - start
            expect(to - from + 1).toBeLessThanOrEqual(rate.burst + (rate.limit * time) / 60_000 + 1e-6)
          }
        }
      }),
      { numRuns: runs },
    )
  })

  test('admits at least 98 % of burst + rate × t under overload', async () => {
    await fc.assert(
      fc.asyncProperty(rates, fc.integer({ min: 1, max: 50 }), async (rate, step) => {
        const { clock, limiter } = await setup()
        const one = bucket(rate)
        let admitted = 0
        const turns = 200
        for (let turn = 0; turn <= turns; turn++) {
          while (passed(await ask(limiter, [one]))) admitted++
          if (turn < turns) clock.advance(step)
        }
        const promised = rate.burst + (rate.limit * turns * step) / 60_000
        // What refills above the burst between two steps is lost in any bucket; up to one request is always left over.
        const refill = (rate.limit * step) / 60_000
        if (refill + 1 <= rate.burst) expect(admitted).toBeGreaterThanOrEqual(Math.floor(0.98 * promised))
      }),
      { numRuns: Math.ceil(runs / 2) },
    )
  }, 60_000)

  test('tokens used, after settlement, are at most burst + rate × t', async () => {
    const calls = fc.array(
      fc.record({
        wait: fc.nat(500),
        held: fc.integer({ min: 1, max: 400 }),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      { minLength: 1, maxLength: 80 },
    )
    await fc.assert(
      fc.asyncProperty(rates, calls, async (rate, all) => {
        const { clock, limiter } = await setup()
        const one = bucket({ ...rate, unit: 'tokens' })
        let used = 0
        for (const [index, { wait, held, share }] of all.entries()) {
          clock.advance(wait)
          if (!passed(await ask(limiter, [one], held, `${index}`))) continue
          const own = Math.floor(held * share)
          limiter.settle([one], { requests: 0, tokens: own - held }, `${index}`)
          used += own
        }
        expect(used).toBeLessThanOrEqual(rate.burst + (rate.limit * clock.now()) / 60_000 + 1e-6)
      }),
      { numRuns: runs },
    )
  })

  test('the next request passes exactly when it says, not a millisecond sooner', async () => {
    const used = fc.integer({ min: 1, max: 30 })
    await fc.assert(
      fc.asyncProperty(rates, used, async (rate, extra) => {
        const { clock, limiter } = await setup()
        const one = bucket({ ...rate, burst: Math.min(rate.burst, 40) })
        let verdict = await ask(limiter, [one])
        while (passed(verdict)) verdict = await ask(limiter, [one])
        clock.advance(verdict.retryAfterMs - 1)
        const early = passed(await ask(limiter, [one]))
        clock.advance(1)
        for (let attempt = 1; attempt < extra; attempt++) await ask(limiter, [bucket({ key: 'other', burst: 1 })])

        expect(verdict.retryAfterMs).toBeGreaterThanOrEqual(1)
        expect(early).toBe(false)
        expect(passed(await ask(limiter, [one]))).toBe(true)
      }),
      { numRuns: runs },
    )
  })

  test('the bucket is full exactly when it says', async () => {
    await fc.assert(
      fc.asyncProperty(rates, fc.integer({ min: 1, max: 50 }), async (rate, spent) => {
        const { clock, limiter } = await setup()
        const one = bucket(rate)
        let reset = 0
        for (let attempt = 0; attempt < spent; attempt++) reset = (await ask(limiter, [one])).requests?.resetMs ?? 0
        clock.advance(reset)

        expect((await ask(limiter, [one])).requests?.remaining).toBe(rate.burst - 1)
      }),
      { numRuns: runs },
    )
  })
}
