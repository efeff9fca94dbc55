import { describe, expect, test } from 'bun:test'
import { ask, bucket } from '#tests/contract/limiter.ts'
import { settled } from '#tests/support/clock.ts'
import { passed, redisThatMayBeAway } from '#tests/support/redis-limiters.ts'

describe('what a process knows without asking Redis', () => {
  const { state, processes } = redisThatMayBeAway()

  test('what is known to be used up is refused without asking Redis', async () => {
    const [one] = processes(1)
    if (one === undefined) throw new Error('no limiter')
    const used = bucket({ burst: 1 })
    await ask(one, [used])
    await ask(one, [used])
    const before = state.calls

    const verdicts = await Promise.all(Array.from({ length: 1000 }, () => ask(one, [used])))

    expect(verdicts.filter(passed)).toHaveLength(0)
    expect(verdicts[999]).toMatchObject({ refused: used, retryAfterMs: 1000, requests: { remaining: 0 } })
    expect(state.calls).toBe(before)
  })

  test('tokens that another process has given back are found after 50 milliseconds', async () => {
    const [one, other] = processes(2)
    const tokens = bucket({ unit: 'tokens', limit: 100 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(other, [tokens], 100, 'other')
    await ask(one, [tokens], 50)
    other.settle([tokens], { requests: 0, tokens: -100 }, 'other')
    await ask(other, [bucket({ key: 'told before' })])
    const before = state.calls

    const believed = await ask(one, [tokens], 50)
    const asked = state.calls - before
    state.clock.advance(50)

    expect([passed(believed), asked, passed(await ask(one, [tokens], 50))]).toEqual([false, 0, true])
  })

  test('what this process gives back is available at once, and Redis is not told of what changes nothing', async () => {
    const [one, other] = processes(2)
    const [rate, places] = [bucket({ key: 'rate' }), bucket({ unit: 'concurrent', limit: 2 })]
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(other, [places], 0, 'zeroth')
    await ask(one, [places], 0, 'first')
    const refused = await ask(one, [places], 0, 'second')
    one.settle([places], { requests: 0, tokens: 0 }, 'first')
    const admitted = await ask(one, [places], 0, 'second')
    await ask(one, [rate], 0, 'third')
    await settled(20)
    const before = state.calls

    one.settle([rate], { requests: 0, tokens: 0 }, 'third')
    await settled(20)

    expect([passed(refused), passed(admitted), state.calls - before]).toEqual([false, true, 0])
  })

  test('a place that another process has given back is found after 50 milliseconds', async () => {
    const [one, other] = processes(2)
    const places = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(other, [places], 0, 'other')
    await ask(one, [places])
    other.settle([places], { requests: 0, tokens: 0 }, 'other')
    await ask(other, [bucket({ key: 'told before' })])
    const before = state.calls

    const believed = await ask(one, [places])
    const asked = state.calls - before
    state.clock.advance(50)

    expect([passed(believed), asked, passed(await ask(one, [places]))]).toEqual([false, 0, true])
  })
})
