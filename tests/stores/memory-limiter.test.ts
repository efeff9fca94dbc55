import { describe, expect, test } from 'bun:test'
import type { Bucket } from '#core/limiter.ts'
import { createMemoryLimiter, type MemoryLimiter } from '#stores/memory-limiter.ts'
import { bucket, limiterContract } from '#tests/contract/limiter.ts'
import { fakeClock } from '#tests/support/clock.ts'

limiterContract('the limiter in memory', async clock => createMemoryLimiter({ clock, entriesMax: 10_000 }))

const passes = (limiter: MemoryLimiter, ...buckets: Bucket[]) => limiter.take(buckets, 0, '').refused === null

describe('the memory of the limiter', () => {
  test('makes room by dropping buckets that are full again', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 3 })
    const spent = bucket({ key: 'spent', limit: 1 })
    passes(limiter, bucket({ key: 'quick', limit: 60_000, burst: 10 }))
    passes(limiter, spent)
    clock.advance(10)
    for (let at = 0; at < 50; at++) {
      clock.advance(10)
      passes(limiter, bucket({ key: `passing ${at}`, limit: 60_000, burst: 10 }))
    }

    expect(passes(limiter, spent)).toBe(false)
  })

  test('keeps the emptiest buckets when none is full again', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 10 })
    const spent = bucket({ key: 'spent', burst: 50 })
    for (let times = 0; times < 50; times++) passes(limiter, spent)
    for (let at = 0; at < 1000; at++) passes(limiter, bucket({ key: `new ${at}`, burst: 50 }))

    expect(passes(limiter, spent)).toBe(false)
  })

  test('never drops a bucket of a decision to make room for another bucket of the same decision', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 4 })
    const shared = bucket({ scope: 'global', limit: 60_000, burst: 100 })
    let admitted = 0
    for (let at = 0; at < 500; at++) {
      if (passes(limiter, shared, bucket({ key: `flood ${at}` }))) admitted++
    }

    expect(admitted).toBe(100)
  })

  test('remembers every bucket of a decision over new buckets', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 2 })
    for (const key of ['old', 'older']) passes(limiter, bucket({ key, limit: 1 }))
    const [quick, slow] = [bucket({ key: 'quick', limit: 600, burst: 1 }), bucket({ key: 'slow', burst: 1 })]
    passes(limiter, quick, slow)

    expect([passes(limiter, quick), passes(limiter, slow)]).toEqual([false, false])
  })

  test('does not grow by refused requests', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 4 })
    const shared = bucket({ scope: 'global', limit: 1 })
    const other = bucket({ key: 'other', limit: 600, burst: 1 })
    passes(limiter, shared)
    passes(limiter, other)
    for (let at = 0; at < 100; at++) passes(limiter, shared, bucket({ key: `flood ${at}` }))

    expect(passes(limiter, other)).toBe(false)
  })
})

describe('a limiter that takes over the state of another one', () => {
  test('has the given amounts', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 10 })
    const one = bucket({ burst: 5 })
    clock.advance(5000)

    limiter.follow(one, 4000, 4500)

    expect(limiter.debts([one])).toEqual([3500])
    expect(limiter.take([one], 0, '').requests).toEqual({ limit: 60, remaining: 0, resetMs: 4500 })
    expect(limiter.take([one], 0, '')).toMatchObject({ refused: one, retryAfterMs: 500 })
  })
})
