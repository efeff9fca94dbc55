import { describe, expect, test } from 'bun:test'
import { createMemoryLimiter } from '#stores/memory-limiter.ts'
import { bucket, limiterContract } from '#tests/contract/limiter.ts'
import { fakeClock } from '#tests/support/clock.ts'

limiterContract('the limiter in memory', clock => createMemoryLimiter({ clock, entriesMax: 10_000 }))

describe('the memory of the limiter', () => {
  test('forgets buckets that are full again to make room', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 3 })
    const spent = bucket({ key: 'spent', perMinute: 1, burst: 1 })
    limiter.take([bucket({ key: 'quick', perMinute: 60_000, burst: 10 })])
    limiter.take([spent])
    clock.advance(10)
    for (let at = 0; at < 50; at++) {
      clock.advance(10)
      limiter.take([bucket({ key: `passing ${at}`, perMinute: 60_000, burst: 10 })])
    }

    expect(limiter.take([spent])?.allowed).toBe(false)
  })

  test('keeps those who owe most when none is full', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 10 })
    const spent = bucket({ key: 'spent', perMinute: 60, burst: 50 })
    for (let times = 0; times < 50; times++) limiter.take([spent])
    for (let at = 0; at < 1000; at++) limiter.take([bucket({ key: `new ${at}`, perMinute: 60, burst: 50 })])

    expect(limiter.take([spent])?.allowed).toBe(false)
  })

  test('never forgets one bucket of a decision to make room for another one of it', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 4 })
    const shared = bucket({ scope: 'global', perMinute: 60_000, burst: 100 })
    let admitted = 0
    for (let at = 0; at < 500; at++) {
      if (limiter.take([shared, bucket({ key: `flood ${at}` })])?.allowed) admitted++
    }

    expect(admitted).toBe(100)
  })

  test('is not filled by requests that are refused', () => {
    const clock = fakeClock()
    const limiter = createMemoryLimiter({ clock, entriesMax: 4 })
    const shared = bucket({ scope: 'global', perMinute: 1, burst: 1 })
    const other = bucket({ key: 'other', perMinute: 600, burst: 1 })
    limiter.take([shared])
    limiter.take([other])
    for (let at = 0; at < 100; at++) limiter.take([shared, bucket({ key: `flood ${at}` })])

    expect(limiter.take([other])?.allowed).toBe(false)
  })
})
