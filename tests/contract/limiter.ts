import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Clock } from '#core/clock.ts'
import type { Bucket, Limiter } from '#core/limiter.ts'
import { fakeClock } from '#tests/support/clock.ts'

/** A bucket for tests; its key is its scope unless it says otherwise. */
export function bucket(more: Partial<Bucket> = {}): Bucket {
  const scope = more.scope ?? 'key'
  return { key: scope, scope, perMinute: 60, burst: 60, ...more }
}

/** What every limiter promises, wherever it keeps its buckets. */
export function limiterContract(name: string, create: (clock: Clock) => Limiter): void {
  function setup() {
    const clock = fakeClock()
    return { clock, limiter: create(clock) }
  }

  describe(name, () => {
    test('has nothing to say without a bucket', () => {
      expect(setup().limiter.take([])).toBeNull()
    })

    test('admits the burst at once, and then no more', () => {
      const { limiter } = setup()
      const one = bucket({ perMinute: 600, burst: 5 })

      const verdicts = Array.from({ length: 7 }, () => limiter.take([one]))

      expect(verdicts.map(verdict => verdict?.allowed)).toEqual([true, true, true, true, true, false, false])
    })

    test('says what is left, and until when', () => {
      const { limiter } = setup()
      const one = bucket({ perMinute: 60, burst: 3 })

      const verdicts = Array.from({ length: 4 }, () => limiter.take([one]))

      expect(verdicts).toEqual([
        { allowed: true, scope: 'key', limit: 60, remaining: 2, retryAfterMs: 0, resetMs: 1000 },
        { allowed: true, scope: 'key', limit: 60, remaining: 1, retryAfterMs: 0, resetMs: 2000 },
        { allowed: true, scope: 'key', limit: 60, remaining: 0, retryAfterMs: 1000, resetMs: 3000 },
        { allowed: false, scope: 'key', limit: 60, remaining: 0, retryAfterMs: 1000, resetMs: 3000 },
      ])
    })

    test('fills a bucket again, and never above its burst', () => {
      const { limiter, clock } = setup()
      const one = bucket({ perMinute: 60, burst: 2 })
      limiter.take([one])
      limiter.take([one])
      clock.advance(3_600_000)

      expect(limiter.take([one])?.remaining).toBe(1)
    })

    test('takes from all buckets or from none', () => {
      const { limiter, clock } = setup()
      const wide = bucket({ scope: 'global', perMinute: 600, burst: 3 })
      const narrow = bucket({ scope: 'key', perMinute: 60, burst: 1 })
      limiter.take([wide, narrow])

      const refused = limiter.take([wide, narrow])
      clock.advance(0)

      expect(refused).toMatchObject({ allowed: false, scope: 'key' })
      expect(limiter.take([wide])).toMatchObject({ allowed: true, remaining: 1 })
    })

    test('tells of the tightest bucket, whatever its place', () => {
      const { limiter } = setup()
      const wide = bucket({ scope: 'global', burst: 10 })
      const narrow = bucket({ scope: 'key', burst: 4 })

      expect(limiter.take([wide, narrow])).toMatchObject({ scope: 'key', remaining: 3 })
      expect(limiter.take([narrow, wide])).toMatchObject({ scope: 'key', remaining: 2 })
    })

    test('of two that have as much left tells of the slower one', () => {
      const { limiter } = setup()
      const fast = bucket({ scope: 'global', perMinute: 1000, burst: 100 })
      const slow = bucket({ scope: 'key', perMinute: 100, burst: 100 })

      expect(limiter.take([fast, slow])).toMatchObject({ scope: 'key', limit: 100, remaining: 99 })
    })

    test('of two that refuse tells of the one to wait for longest', () => {
      const { limiter } = setup()
      const short = bucket({ scope: 'global', perMinute: 600, burst: 1 })
      const long = bucket({ scope: 'key', perMinute: 6, burst: 1 })
      limiter.take([short, long])

      expect(limiter.take([short, long])).toMatchObject({ scope: 'key', retryAfterMs: 10_000 })
      expect(limiter.take([long, short])).toMatchObject({ scope: 'key', retryAfterMs: 10_000 })
    })

    test('knows a bucket by its key, not by its object', () => {
      const { limiter } = setup()
      limiter.take([bucket({ burst: 1 })])

      expect(limiter.take([bucket({ burst: 1 })])?.allowed).toBe(false)
      expect(limiter.take([bucket({ key: 'another', burst: 1 })])?.allowed).toBe(true)
    })

    test('does not notice when the wall clock jumps', () => {
      const { limiter, clock } = setup()
      const one = bucket({ burst: 1 })
      limiter.take([one])
      clock.jump(3_600_000)

      expect(limiter.take([one])).toMatchObject({ allowed: false, retryAfterMs: 1000 })
    })

    test('a refused request costs nothing', () => {
      const { limiter, clock } = setup()
      const one = bucket({ perMinute: 60, burst: 1 })
      limiter.take([one])
      for (let times = 0; times < 100; times++) limiter.take([one])
      clock.advance(1000)

      expect(limiter.take([one])?.allowed).toBe(true)
    })

    limiterProperties(setup)
  })
}

const rates = fc.record({ perMinute: fc.integer({ min: 1, max: 100_000 }), burst: fc.integer({ min: 1, max: 500 }) })

function limiterProperties(setup: () => { clock: ReturnType<typeof fakeClock>; limiter: Limiter }): void {
  test('admits at most burst + rate × t in any stretch of time', () => {
    const steps = fc.array(fc.tuple(fc.nat(2000), fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(rates, steps, (rate, all) => {
        const { clock, limiter } = setup()
        const one = bucket(rate)
        const admitted: number[] = []
        for (const [wait, tries] of all) {
          clock.advance(wait)
          for (let attempt = 0; attempt < tries; attempt++) if (limiter.take([one])?.allowed) admitted.push(clock.now())
        }
        for (const [from, start] of admitted.entries()) {
          for (let to = from; to < admitted.length; to += 7) {
            const time = (admitted[to] ?? 0) - start
            expect(to - from + 1).toBeLessThanOrEqual(rate.burst + (rate.perMinute * time) / 60_000 + 1e-6)
          }
        }
      }),
    )
  })

  test('admits at least 98 % of burst + rate × t under overload', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 50 }), (rate, step) => {
        const { clock, limiter } = setup()
        const one = bucket(rate)
        let admitted = 0
        const turns = 200
        for (let turn = 0; turn <= turns; turn++) {
          while (limiter.take([one])?.allowed) admitted++
          if (turn < turns) clock.advance(step)
        }
        const promised = rate.burst + (rate.perMinute * turns * step) / 60_000
        // What refills above the burst between two steps is lost in any bucket; up to one request is always left over.
        const refill = (rate.perMinute * step) / 60_000
        if (refill + 1 <= rate.burst) expect(admitted).toBeGreaterThanOrEqual(Math.floor(0.98 * promised))
      }),
      { numRuns: 50 },
    )
  })

  test('the next request passes exactly when it says, not a millisecond sooner', () => {
    const used = fc.integer({ min: 1, max: 30 })
    fc.assert(
      fc.property(rates, used, (rate, extra) => {
        const { clock, limiter } = setup()
        const one = bucket({ ...rate, burst: Math.min(rate.burst, 40) })
        let verdict = limiter.take([one])
        while (verdict?.allowed) verdict = limiter.take([one])
        const wait = verdict?.retryAfterMs ?? 0
        clock.advance(wait - 1)
        const early = limiter.take([one])?.allowed
        clock.advance(1)
        for (let attempt = 1; attempt < extra; attempt++) limiter.take([bucket({ key: 'other', burst: 1 })])

        expect(wait).toBeGreaterThanOrEqual(1)
        expect(early).toBe(false)
        expect(limiter.take([one])?.allowed).toBe(true)
      }),
    )
  })

  test('the bucket is full exactly when it says', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 50 }), (rate, spent) => {
        const { clock, limiter } = setup()
        const one = bucket(rate)
        let reset = 0
        for (let attempt = 0; attempt < spent; attempt++) reset = limiter.take([one])?.resetMs ?? 0
        clock.advance(reset)

        expect(limiter.take([one])?.remaining).toBe(rate.burst - 1)
      }),
    )
  })
}
