import { describe, expect, test } from 'bun:test'
import { ask, bucket } from '#tests/contract/limiter.ts'
import { settled } from '#tests/support/clock.ts'
import { admitted, limiterOf, passed, redisThatMayBeAway } from '#tests/support/redis-limiters.ts'

describe('while Redis is away', () => {
  const { state, processes, heard } = redisThatMayBeAway()

  test('each process applies its share of the limit, among all processes that were last seen', async () => {
    const four = processes(4)
    const one = bucket({ limit: 40 })
    await admitted(four, 1, bucket({ key: 'other' }))
    // The second round of renewals tells each process of all four.
    state.clock.advance(10_000)
    await settled(20)
    await admitted(four, 1, bucket({ key: 'other' }))

    state.away = true

    expect(await admitted(four, 100, one)).toBe(40)
    state.clock.advance(60_000)
    expect(await admitted(four, 100, one)).toBe(40)
  })

  test('a process that has died no longer counts among those that share a limit', async () => {
    const [one] = processes(1)
    const other = limiterOf(
      { ...heard, use: work => (isDead ? Promise.reject(new Error('dead')) : heard.use(work)) },
      state.clock,
    )
    let isDead = false
    const all = one === undefined ? [] : [one]
    const share = async () => {
      await settled(20)
      await admitted(all, 1, bucket({ key: 'other' }))
      state.away = true
      const count = await admitted(all, 100, bucket({ limit: 40 }))
      state.away = false
      return count
    }
    await ask(other, [bucket({ key: 'other' })])
    state.clock.advance(10_000)
    const before = await share()
    isDead = true
    for (let renewal = 0; renewal < 6; renewal++) {
      state.clock.advance(10_000)
      await settled(20)
      await admitted(all, 1, bucket({ key: 'other' }))
    }

    expect([before, await share()]).toEqual([20, 40])
  })

  test('at least as many processes are counted as limits.processes says', async () => {
    const [one] = processes(1, { processes: 5 })
    state.away = true

    expect(await admitted(one === undefined ? [] : [one], 100, bucket({ limit: 50 }))).toBe(10)
  })

  test('what was used before Redis went away stays used', async () => {
    const two = processes(2, { processes: 2 })
    const one = bucket({ limit: 60 })
    await admitted(two.slice(0, 1), 48, one)
    await ask(two[1] ?? two[0] ?? limiterOf(heard, state.clock), [one])

    state.away = true

    // The first process saw 12 left, the second 11: half of each.
    expect(await admitted(two, 100, one)).toBe(6 + 5)
  })

  test('a refusal names the whole limit, not the share', async () => {
    const [one] = processes(1, { processes: 4 })
    const whole = bucket({ limit: 4 })
    state.away = true
    if (one !== undefined) await ask(one, [whole])

    expect(one && (await ask(one, [whole])).refused).toBe(whole)
  })

  test('concurrent requests are shared, too, and given back', async () => {
    const [one] = processes(1, { processes: 2 })
    const places = bucket({ unit: 'concurrent', limit: 4 })
    if (one === undefined) throw new Error('no limiter')
    state.away = true
    const verdicts = []
    for (const owner of ['a', 'b', 'c']) verdicts.push(await ask(one, [places], 0, owner))
    one.settle([places], { requests: 0, tokens: 0 }, 'a')

    expect([...verdicts, await ask(one, [places], 0, 'd')].map(passed)).toEqual([true, true, false, true])
  })

  test('a call that needs more than a share is admitted, and later calls wait for it', async () => {
    const [one] = processes(1, { processes: 4 })
    const tokens = bucket({ unit: 'tokens', limit: 1000 })
    if (one === undefined) throw new Error('no limiter')
    state.away = true

    const large = await ask(one, [tokens], 800)
    const then = await ask(one, [tokens], 100)

    expect(passed(large)).toBe(true)
    // 650 tokens beyond a share of 250, at 250 a minute.
    expect(then.retryAfterMs).toBe(156_000)
    expect((await ask(one, [tokens], 1001)).retryAfterMs).toBe(Infinity)
  })

  test('with store_down: closed everything is refused', async () => {
    const [one] = processes(1, { storeDown: 'closed' })
    state.away = true

    expect(() => one?.take([bucket()], 0, 'a')).toThrow('The store of the limits does not answer')
    expect(one?.take([], 0, 'a')).toMatchObject({ refused: null })
  })

  test('requests to Redis that get no answer are decided as while it is away', async () => {
    const [one] = processes(1)
    if (one === undefined) throw new Error('no limiter')
    const silent = { ...heard, use: () => Promise.reject(new Error('no answer')) }
    const local = limiterOf(silent, state.clock)
    const closed = limiterOf(silent, state.clock, { settings: () => ({ storeDown: 'closed', processes: 1 }) })

    expect(await admitted([local], 5, bucket({ limit: 3 }))).toBe(3)
    await expect(Promise.resolve(ask(closed, [bucket()]))).rejects.toThrow('The store of the limits does not answer')
  })

  test('a process that has ended no longer counts from the next renewal on', async () => {
    const [one, other] = processes(2)
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await admitted([one, other], 1, bucket({ key: 'other' }))
    state.clock.advance(10_000)
    await settled(20)
    await other.close()
    state.clock.advance(10_000)
    await settled(20)
    await admitted([one], 1, bucket({ key: 'other' }))
    state.away = true

    expect(await admitted([one], 100, bucket({ limit: 40 }))).toBe(40)
  })
})
