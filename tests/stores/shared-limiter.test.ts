import { afterAll, describe, expect, test } from 'bun:test'
import type { Bucket, Limiter } from '#core/limiter.ts'
import { createSharedFolder, openSharedMemory } from '#stores/shared.ts'
import { createSharedLimiter } from '#stores/shared-limiter.ts'
import { bucket, limiterContract } from '#tests/contract/limiter.ts'
import { fakeClock } from '#tests/support/clock.ts'

const removals: (() => void)[] = []
afterAll(() => {
  for (const remove of removals) remove()
})

function sharedFolder(): string {
  const { folder, remove } = createSharedFolder()
  removals.push(remove)
  return folder
}

limiterContract('the limiter in shared memory', async clock => {
  const { folder, remove } = createSharedFolder()
  const memory = openSharedMemory(folder, 1)
  remove()
  return createSharedLimiter(memory, clock)
})

const NOTHING = { requests: 0, tokens: 0 }
const passes = (limiter: Limiter, buckets: readonly Bucket[], owner: string = crypto.randomUUID()) => {
  const verdict = limiter.take(buckets, 0, owner)
  return !(verdict instanceof Promise) && verdict.refused === null
}

describe('two processes on one shared memory', () => {
  function pair() {
    const clock = fakeClock()
    const folder = sharedFolder()
    const memories = [openSharedMemory(folder, 2), openSharedMemory(folder, 3)] as const
    const limiters = memories.map(memory => createSharedLimiter(memory, clock))
    const [first = limiters[0], second = limiters[1]] = limiters
    if (first === undefined || second === undefined) throw new Error('there are two')
    return { clock, first, second, memories }
  }

  test('admit together no more than one would', () => {
    const { first, second } = pair()
    const one = bucket({ burst: 10 })
    let admitted = 0
    for (let at = 0; at < 100; at++) if (passes(at % 2 === 0 ? first : second, [one])) admitted++

    expect(admitted).toBe(10)
  })

  test('count their leases together, and neither can give back those of the other', () => {
    const { first, second } = pair()
    const two = bucket({ key: 'places', unit: 'concurrent', limit: 2 })
    passes(first, [two], 'one')
    passes(second, [two], 'two')

    second.settle([two], NOTHING, 'one')
    const before = passes(second, [two], 'three')
    first.settle([two], NOTHING, 'one')

    expect(before).toBe(false)
    expect(passes(second, [two], 'three')).toBe(true)
    expect(passes(first, [two], 'four')).toBe(false)
  })

  test('free the leases of one that has died, and no others', () => {
    const { first, second, memories } = pair()
    const three = bucket({ key: 'places', unit: 'concurrent', limit: 3 })
    for (const owner of ['one', 'two']) passes(first, [three], owner)
    passes(second, [three], 'three')
    const before = passes(second, [three], 'four')

    memories[1].reclaim(2)

    expect(before).toBe(false)
    expect([passes(second, [three], 'four'), passes(second, [three], 'five'), passes(second, [three], 'six')]).toEqual([
      true,
      true,
      false,
    ])
  })
})

describe('the table of the shared limiter', () => {
  function fresh() {
    const clock = fakeClock()
    return { clock, limiter: createSharedLimiter(openSharedMemory(sharedFolder(), 1), clock) }
  }

  test('keeps the emptiest buckets when many new ones arrive', () => {
    const { limiter } = fresh()
    const spent = bucket({ key: 'spent', burst: 50 })
    for (let times = 0; times < 50; times++) passes(limiter, [spent])
    for (let at = 0; at < 400_000; at++) passes(limiter, [bucket({ key: `new ${at}`, burst: 50 })])

    expect(passes(limiter, [spent])).toBe(false)
  })

  test('never drops a bucket of a decision to make room for another bucket of the same decision', () => {
    const { limiter } = fresh()
    const shared = bucket({ scope: 'global', limit: 60_000, burst: 1000 })
    let admitted = 0
    for (let at = 0; at < 400_000; at++)
      if (passes(limiter, [shared, bucket({ key: `flood ${at}`, limit: 1 })])) admitted++

    expect(admitted).toBe(1000)
  })

  test('reuses the places of buckets that nobody needs any more', () => {
    const { limiter } = fresh()
    for (let at = 0; at < 100_000; at++) {
      const one = [bucket({ key: `caller ${at}`, unit: 'concurrent', limit: 1 })]
      const owner = String(at)
      expect(passes(limiter, one, owner)).toBe(true)
      if (at % 1000 === 0) expect(passes(limiter, one, 'another')).toBe(false)
      limiter.settle(one, NOTHING, owner)
    }
  })
})
