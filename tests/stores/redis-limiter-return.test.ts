import { describe, expect, test } from 'bun:test'
import { ask, bucket } from '#tests/contract/limiter.ts'
import { admitted, passed, redisThatMayBeAway } from '#tests/support/redis-limiters.ts'

describe('when Redis is back', () => {
  const { state, processes } = redisThatMayBeAway()

  test('tokens that were taken without Redis are not given back to Redis', async () => {
    const [one] = processes(1)
    const tokens = bucket({ unit: 'tokens', limit: 1000 })
    if (one === undefined) throw new Error('no limiter')
    await ask(one, [tokens], 500)
    state.away = true
    await ask(one, [tokens], 400, 'alone')
    state.away = false

    one.settle([tokens], { requests: 0, tokens: -400 }, 'alone')
    const verdict = await ask(one, [tokens], 0)

    expect(verdict.tokens?.remaining).toBe(500)
  })

  test('what each process admitted without Redis is charged when Redis is back', async () => {
    const two = processes(2, { processes: 2 })
    const [one, other] = two
    const rate = bucket({ limit: 60 })
    const tokens = bucket({ key: 'tokens', unit: 'tokens', limit: 6000 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    state.away = true
    const alone = await admitted(two, 10, rate)
    await ask(one, [tokens], 3000, 'call')
    one.settle([tokens], { requests: 0, tokens: -2000 }, 'call')

    state.away = false
    await ask(one, [rate, tokens])
    const verdict = await ask(other, [rate, tokens])
    await ask(one, [rate, tokens])

    expect(alone).toBe(20)
    expect(verdict).toMatchObject({ requests: { remaining: 60 - 22 }, tokens: { remaining: 5000 } })
    expect((await ask(one, [rate])).requests?.remaining).toBe(60 - 24)
  })

  test('what several calls turn out to have used without Redis is charged once each, and what was taken alone beside it', async () => {
    const [one] = processes(1)
    const tokens = bucket({ unit: 'tokens', limit: 6000 })
    if (one === undefined) throw new Error('no limiter')
    for (const call of ['a', 'b']) await ask(one, [tokens], 1000, call)
    state.away = true
    one.settle([tokens], { requests: 0, tokens: 500 }, 'a')
    one.settle([tokens], { requests: 0, tokens: -900 }, 'b')
    await ask(one, [tokens], 300, 'c')
    state.away = false
    await ask(one, [tokens], 0)

    expect((await ask(one, [tokens], 0)).tokens?.remaining).toBe(6000 - 2000 - 500 + 900 - 300)
  })

  test('what the limit has given out again since then is not charged', async () => {
    const [one] = processes(1)
    const [rate, tokens] = [bucket({ limit: 60 }), bucket({ key: 'tokens', unit: 'tokens', limit: 6000 })]
    if (one === undefined) throw new Error('no limiter')
    state.away = true
    for (let second = 0; second < 300; second++) {
      expect(passed(await ask(one, [rate, tokens], 100, `${second}`))).toBe(true)
      state.clock.advance(1000)
    }

    state.away = false
    const verdict = await ask(one, [rate, tokens])

    expect(verdict).toMatchObject({ refused: null, requests: { remaining: 59 }, tokens: { remaining: 6000 } })
  })

  test('what was used before is given out again only once', async () => {
    const [one] = processes(1)
    const rate = bucket({ limit: 60 })
    if (one === undefined) throw new Error('no limiter')
    await admitted([one], 60, rate)
    state.away = true
    state.clock.advance(30_000)
    const alone = await admitted([one], 60, rate)

    state.away = false

    expect([alone, await admitted([one], 60, rate)]).toEqual([30, 0])
  })

  test('a share that was used up without Redis refuses nobody when Redis is back', async () => {
    const [one] = processes(1, { processes: 2 })
    const rate = bucket({ limit: 60 })
    if (one === undefined) throw new Error('no limiter')
    state.away = true
    const alone = await admitted([one], 100, rate)
    state.away = false

    expect([alone, await admitted([one], 100, rate)]).toEqual([30, 30])
  })
})
